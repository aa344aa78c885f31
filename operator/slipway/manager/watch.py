"""The watches, run by kopf; the only file that imports it.

kopf is used as the watch engine alone: its stateful handlers cost a write per object, react to
edges instead of levels, or do not survive a crash. It lists, watches, reconnects and signs in; what
its streams bring is passed on here at once, without the task and the memory that kopf would have
for each object, which took a third of the operator's processor time (decision 0069).
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import kopf
from kopf._cogs.clients import watching
from kopf._core.reactor import queueing

from slipway.adapters.connection import Connection
from slipway.adapters.metadata import watch_selector
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.api.kinds import Kind

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 30.0
_KINDS = {(kind.group, kind.version, kind.plural): kind for kind in kinds.WATCHED}
IDENTITY: Any = "slipway"
"""For peering, which is off; by default, kopf asks for a user name, and a pod may have none."""
BODY_CHUNK = 100
INACTIVITY_SECONDS = 70.0
"""A watch without any sign of life for so long, bookmarks included, is reopened."""


OnObject = Callable[[Kind, Manifest], None]


@dataclass(frozen=True, slots=True)
class WatchListener:
    """What the watches call; none of these may raise."""

    on_seen: OnObject
    """An object exists."""
    on_gone: OnObject
    """An object was deleted."""
    on_listed: Callable[[], None]
    """A watch was listed again: it may have missed deletions."""
    on_alive: Callable[[str], None] = lambda _watch: None
    """A watch gave a sign of life, if only a bookmark; called with the watch's name."""


class EndlessBackoff:
    """Delays between attempts, without end: after a last one, kopf and the process would end."""

    def __iter__(self) -> Iterator[float]:
        """Start again for each request."""
        seconds = 0.5
        while True:
            yield seconds * random.uniform(0.8, 1.2)  # noqa: S311
            seconds = min(2 * seconds, LONGEST_BACKOFF_SECONDS)


async def run_watches(
    connection: Connection,
    listener: WatchListener,
    *,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    on_started: Callable[[], None],
) -> None:
    """Watch until `stop` is set; `namespaces` empty: all.

    `on_started` is called after kopf has installed its own signal handlers, so it may replace them.
    When kopf ends, it cancels the tasks that were created after this call.
    """
    registry = kopf.OperatorRegistry()
    _register_login(registry, connection)
    for kind in kinds.WATCHED:
        _ask_for_watch(registry, kind)
    queueing.watcher = _watch  # the settings say who listens

    older = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings(listener),
        standalone=True,
        identity=IDENTITY,
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        stop_flag=stop,
    )

    on_started()
    await kopf.run_tasks(tasks, ignored=older)


def watch_names(namespaces: Sequence[str]) -> dict[str, Kind]:
    """Return the names by which the watches give signs of life, with their kinds."""
    return {
        f"{kind.plural}.{kind.version}.{kind.group}".rstrip(".") + f"@{namespace}": kind
        for kind in kinds.WATCHED
        for namespace in namespaces or (None,)
    }


class _WatchingSettings(type(kopf.OperatorSettings().watching)):  # type: ignore[misc]
    """Notes signs of life: kopf reads this setting when it opens a watch and after each line of it.

    Bookmarks, one a minute, reach no handler; this is how their arrival shows. The task that reads
    is called ``watcher for <plural>.<version>.<group>@<namespace>``.
    """

    listener: WatchListener

    @property
    def inactivity_timeout(self) -> float:
        task = asyncio.current_task()
        if task is not None:
            self.listener.on_alive(task.get_name().rpartition(" ")[2])
        return INACTIVITY_SECONDS

    @inactivity_timeout.setter
    def inactivity_timeout(self, seconds: float) -> None:
        """Ignore kopf's default."""


def kopf_settings(listener: WatchListener) -> kopf.OperatorSettings:
    """Return kopf's settings: no writes, no scans, endless retries."""
    settings = kopf.OperatorSettings()
    settings.watching = _WatchingSettings()
    settings.watching.listener = listener

    # no writes: no peers, no events
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = True

    settings.watching.chunk_size = BODY_CHUNK
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 0.5

    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = EndlessBackoff()
    settings.process.ultimate_exiting_timeout = 25

    for kind in kinds.WATCHED:
        if (labels := watch_selector(kind)) is not None:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = labels
    return settings


def _ask_for_watch(registry: kopf.OperatorRegistry, kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)
    async def never_called(**_: Any) -> None:
        """Make kopf watch the kind; its events go to the listener."""


async def _watch(*, namespace: Any, settings: Any, resource: Any, **others: Any) -> None:
    """Pass the events of one watch on, in place of kopf's queues and workers for each object."""
    listener: WatchListener = settings.watching.listener
    kind = _KINDS[resource.group, resource.version, resource.plural]
    stream = watching.infinite_watch(
        settings=settings,
        resource=resource,
        namespace=namespace,
        operator_paused=others.get("operator_paused"),
    )

    async for event in stream:
        if not isinstance(event, watching.Bookmark) and event["type"] != "BOOKMARK":
            _pass_on(listener, kind, event["type"], dict(event["object"]))
            await asyncio.sleep(0)  # what a stream brings at once holds up nobody else


def _pass_on(listener: WatchListener, kind: Kind, event: str | None, manifest: Manifest) -> None:
    if event == "DELETED":
        listener.on_gone(kind, manifest)
        return

    if event is None:  # an object of a list
        listener.on_listed()
    listener.on_seen(kind, manifest)


def _register_login(registry: kopf.OperatorRegistry, connection: Connection) -> None:
    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        configuration = connection.configuration
        scheme, token = await connection.bearer()
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme,
            token=token,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )
