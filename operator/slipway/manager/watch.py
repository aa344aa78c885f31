"""The watches, by kopf. The only file that imports it.

kopf is used as the watch engine alone: its handlers that keep state cost a write per object, see
edges instead of levels, or do not survive a crash. These here store a projection, wake a key, and
never raise.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import kopf

from slipway.adapters.connection import Connection
from slipway.adapters.metadata import selector
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.api.kinds import Kind

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS = 30.0
NOBODY: Any = "slipway"
"""For peering, which is off; left to itself, kopf asks for a user name, and in a pod is none."""
BODY_CHUNK = 100
INACTIVITY_SECONDS = 70.0
"""A watch without any sign of life for so long, bookmarks included, is opened anew."""


Heard = Callable[[Kind, Manifest], None]


@dataclass(frozen=True, slots=True)
class WatchListener:
    """Who hears what the watches say. None of them may raise."""

    seen: Heard
    """An object exists."""
    gone: Heard
    """An object was deleted."""
    listed: Callable[[], None]
    """A watch listed anew: it may have missed deletions."""
    alive: Callable[[str], None] = lambda _watch: None
    """A watch gave a sign of life, were it only a bookmark; called with its name."""


class EndlessBackoff:
    """Waits between attempts, without end: kopf gives up, and the process with it, at the last."""

    def __iter__(self) -> Iterator[float]:
        """Start anew for each request."""
        seconds = 0.5
        while True:
            yield seconds * random.uniform(0.8, 1.2)  # noqa: S311
            seconds = min(2 * seconds, LONGEST_BACKOFF_SECONDS)


class NoMemory(kopf.DiffBaseStorage):
    """What kopf compares objects with from one event to the next: here, nothing.

    It builds that for every event, whether or not a handler asks for it: a deep copy of the object.
    """

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        """Return nothing."""
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return nothing."""
        del body
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""
        del body, patch, essence


async def run_watches(
    connection: Connection,
    hearing: WatchListener,
    *,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    on_started: Callable[[], None],
) -> None:
    """Watch until `stop` is set; `namespaces` empty: all.

    `on_started` is called after kopf has put its own signal handlers in place, so it may replace
    them. kopf cancels the tasks that were created after this call when it ends.
    """
    registry = kopf.OperatorRegistry()
    _register_login(registry, connection)
    for kind in kinds.WATCHED:
        _register(registry, kind, hearing)
    older = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings(hearing.alive),
        standalone=True,
        identity=NOBODY,
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


class _Pulse(type(kopf.OperatorSettings().watching)):  # type: ignore[misc]
    """Hears kopf live: it asks for this setting when it opens a watch and after each line of it.

    Bookmarks, one a minute, reach no handler; this is how their arrival shows. The task that asks
    is called ``watcher for <plural>.<version>.<group>@<namespace>``.
    """

    alive: Callable[[str], None]

    @property
    def inactivity_timeout(self) -> float:
        task = asyncio.current_task()
        if task is not None:
            self.alive(task.get_name().rpartition(" ")[2])
        return INACTIVITY_SECONDS

    @inactivity_timeout.setter
    def inactivity_timeout(self, seconds: float) -> None:
        """Ignore kopf's default."""


def kopf_settings(alive: Callable[[str], None] = lambda _watch: None) -> kopf.OperatorSettings:
    """Return kopf's settings: no writes, no scans, small buffers, endless patience."""
    settings = kopf.OperatorSettings()
    settings.watching = pulse = _Pulse()
    pulse.alive = alive
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoMemory()
    settings.scanning.disabled = True
    settings.queueing.worker_limit = None  # a limit counts idle workers and starves the rest
    settings.queueing.idle_timeout = 0.5
    settings.watching.chunk_size = BODY_CHUNK
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 0.5
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = EndlessBackoff()
    settings.process.ultimate_exiting_timeout = 25
    for kind in kinds.WATCHED:
        if (labels := selector(kind)) is not None:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = labels
    return settings


def _register(registry: kopf.OperatorRegistry, kind: Kind, hearing: WatchListener) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)
    async def hear(*, event: kopf.RawEvent, **_: Any) -> None:
        manifest: Manifest = dict(event["object"])
        if event["type"] == "DELETED":
            hearing.gone(kind, manifest)
            return
        if event["type"] is None:
            hearing.listed()
        hearing.seen(kind, manifest)


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
