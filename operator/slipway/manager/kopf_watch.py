"""The watch of ModelDeployments, run by kopf; the only file that imports it.

kopf is used as a watch engine alone: its stateful handlers cost a write per object, react to edges
instead of levels, or do not survive a crash. A filter passes each object on, never raises, and
lets no handler run: to run one costs kopf a third more for each event (decision 0069).
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import kopf

from slipway.adapters.connection import Connection
from slipway.adapters.kube_collections import PAGE, SILENCE_SECONDS
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.manager.watch_listener import WatchListener

LONGEST_BACKOFF_SECONDS = 30.0
IDENTITY: Any = "slipway"
"""For peering, which is off; by default, kopf asks for a user name, and a pod may have none."""


class EndlessBackoff:
    """Delays between attempts, without end: after a last one, kopf and the process would end."""

    def __iter__(self) -> Iterator[float]:
        """Start again for each request."""
        seconds = 0.5
        while True:
            yield seconds * random.uniform(0.8, 1.2)  # noqa: S311
            seconds = min(2 * seconds, LONGEST_BACKOFF_SECONDS)


class NoMemory(kopf.DiffBaseStorage):
    """Keeps nothing of what kopf compares objects with from one event to the next.

    kopf would build a deep copy of the object for every event, whether or not a handler needs it.
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


class NoProgress(kopf.ProgressStorage):
    """Keeps nothing of what kopf notes of handlers, and has nothing to take out of an object."""

    def fetch(self, *, key: kopf.HandlerId, body: kopf.Body) -> kopf.ProgressRecord | None:
        """Return nothing."""
        del key, body
        return None

    def store(
        self,
        *,
        key: kopf.HandlerId,
        record: kopf.ProgressRecord,
        body: kopf.Body,
        patch: kopf.Patch,
    ) -> None:
        """Keep nothing."""
        del key, record, body, patch

    def purge(self, *, key: kopf.HandlerId, body: kopf.Body, patch: kopf.Patch) -> None:
        """Remove nothing."""
        del key, body, patch

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Change nothing."""
        del body, patch, value

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Return the same: nothing of it is ours."""
        return essence


async def run_kopf(
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
    _register_filter(registry, listener)

    older = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings(listener.on_alive),
        standalone=True,
        identity=IDENTITY,
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        stop_flag=stop,
    )

    on_started()
    await kopf.run_tasks(tasks, ignored=older)


class _WatchingSettings(type(kopf.OperatorSettings().watching)):  # type: ignore[misc]
    """Notes signs of life: kopf reads this setting when it opens a watch and after each line of it.

    Bookmarks, one a minute, reach no handler; this is how their arrival shows. The task that reads
    is called ``watcher for <plural>.<version>.<group>@<namespace>``.
    """

    on_alive: Callable[[str], None]

    @property
    def inactivity_timeout(self) -> float:
        task = asyncio.current_task()
        if task is not None:
            self.on_alive(task.get_name().rpartition(" ")[2])
        return SILENCE_SECONDS

    @inactivity_timeout.setter
    def inactivity_timeout(self, seconds: float) -> None:
        """Ignore kopf's default."""


def kopf_settings(on_alive: Callable[[str], None] = lambda _watch: None) -> kopf.OperatorSettings:
    """Return kopf's settings: no writes, no scans, small buffers, endless retries."""
    settings = kopf.OperatorSettings()
    settings.watching = watching = _WatchingSettings()
    watching.on_alive = on_alive

    # no writes: no peers, no events, no state in annotations
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoMemory()
    settings.persistence.progress_storage = NoProgress()
    settings.scanning.disabled = True

    settings.queueing.worker_limit = None  # a limit counts idle workers and starves the rest
    settings.queueing.idle_timeout = 0.5
    settings.watching.chunk_size = PAGE
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 0.5

    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = EndlessBackoff()
    settings.process.ultimate_exiting_timeout = 25
    return settings


def _register_filter(registry: kopf.OperatorRegistry, listener: WatchListener) -> None:
    kind = kinds.MODEL_DEPLOYMENT

    def pass_on(*, event: kopf.RawEvent, **_: Any) -> bool:
        manifest: Manifest = dict(event["object"])
        if event["type"] == "DELETED":
            listener.on_gone(kind, manifest)
            return False

        if event["type"] is None:  # an object of a list
            listener.on_listed()
        listener.on_seen(kind, manifest)
        return False

    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, when=pass_on)
    async def never_called(**_: Any) -> None:
        """Let kopf watch the kind."""


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
