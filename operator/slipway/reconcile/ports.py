"""What a pass needs of the outside world, as small protocols; `slipway.adapters` fits them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from slipway.api.base import Manifest
from slipway.api.counters import Counters
from slipway.api.download import DownloadProgress
from slipway.api.kinds import Kind
from slipway.api.names import FIELD_MANAGER_STATUS
from slipway.api.pairs import Pairs
from slipway.api.reasons import Why
from slipway.policy.analysis.external.answer import Answer
from slipway.policy.analysis.inputs import Count
from slipway.policy.audit import AuditLine
from slipway.policy.durations import Duration
from slipway.policy.hook_call import HookAnswer, HookCall
from slipway.policy.scaling.signals import ServerLoad


class Cluster(Protocol):
    """The API server. Every write is fenced: it raises `FencedError` where the Lease is not ours.

    All methods raise `ClusterUnavailable` for transient trouble (no answer, 429, 5xx, 403 while
    RBAC reloads) and `SpecError` where the API server rejects the object for good (422, 400).
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Read one object live; None where it does not exist."""

    async def list(
        self, kind: Kind, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Read the objects with these labels live."""

    async def version(self) -> tuple[int, int] | None:
        """Return major and minor version of the API server, which may be minutes old."""

    async def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object whose content never changes.

        Raises:
            ConflictError: an object of that name exists; the caller looks whose it is.

        """

    async def apply(self, manifest: Manifest, *, existing_uid: str | None) -> Manifest:
        """Server-side apply as manager ``slipway``.

        `existing_uid` is the uid that this pass read: it is sent along, so that a re-created
        object is never changed by mistake. None: the object is believed absent, and the apply is
        not forced, so that a foreign object is never taken over.

        Raises:
            ConflictError: a foreign object or field manager has it.
            ChangedUnderneath: the object was re-created since it was read.

        """

    async def scale(
        self,
        namespace: str,
        name: str,
        *,
        uid: str,
        replicas: int | None,
        resource_version: str | None = None,
    ) -> None:
        """Apply a Deployment's replicas as manager ``slipway-scaler``; None releases the field.

        Raises:
            ChangedUnderneath: the Deployment changed since `resource_version` was read.

        """

    async def apply_status(
        self,
        manifest: Manifest,
        *,
        resource_version: str,
        manager: str = FIELD_MANAGER_STATUS,
    ) -> Manifest:
        """Replace what `manager` owns of the object's status by server-side apply.

        Raises:
            ChangedUnderneath: the object changed since it was read.

        """

    async def annotate(
        self, kind: Kind, namespace: str, name: str, *, uid: str, annotations: Mapping[str, str]
    ) -> None:
        """Set annotations of an object of ours by merge patch."""

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
    ) -> None:
        """Delete in the background, with preconditions; an object that is gone is fine."""


class CounterSource(Protocol):
    """The counters of a namespace's router pods."""

    async def read(self, address: str) -> Counters | None:
        """Read one agent (``<pod IP>``); None where it does not answer within its time limit."""


class DownloadSource(Protocol):
    """Pods that fetch a model."""

    async def read(self, address: str) -> DownloadProgress | None:
        """Read how far a pod (``<pod IP>``) is; None where it does not say in time."""


class PairSource(Protocol):
    """What the comparers of a namespace's router pods counted."""

    async def read(self, address: str) -> Pairs | Why:
        """Read one agent (``<pod IP>``), or say why not: an older one has no such page."""


class ServerSource(Protocol):
    """The load of Triton pods."""

    async def read_load(self, address: str, model: str) -> ServerLoad | None:
        """Read the load of one pod (``<pod IP>``); None where it gives no numbers in time."""


class MetricSource(Protocol):
    """Prometheus servers that the operator's admin configured."""

    async def ask(self, provider: str, queries: Sequence[str]) -> tuple[Answer, ...] | None:
        """Ask everything at the same moment; None: the answers are still on their way.

        It never raises and never takes long: what goes wrong is a `Why` in the answers' place.
        """


class FailureSource(Protocol):
    """The failures that Triton servers count."""

    async def read_failures(self, address: str, model: str) -> Count | Why:
        """Read one server (``<pod IP>``): all requests of a model, and those that failed in it."""


class HookSource(Protocol):
    """Webhooks, which are asked in the background of the passes."""

    def answer(self, key: str) -> HookAnswer | None:
        """Return the answer to a question, once it is there."""

    async def ask(self, call: HookCall) -> None:
        """Begin to ask and return at once; the same question is not asked twice.

        Raises:
            FencedError: this process may not act any more.

        """


class Recorder(Protocol):
    """Kubernetes events."""

    async def record(
        self, regarding: Manifest, *, warning: bool, reason: str, message: str
    ) -> None:
        """Write an event about the object; never raises, and only counts repeats."""


class AuditReceiver(Protocol):
    """Receivers of the audit trail, beside the log."""

    @property
    def is_on(self) -> bool:
        """Whether there is any."""

    def offer(self, lines: Iterable[AuditLine]) -> None:
        """Take lines to be sent later; never waits or raises. A line with a known id is dropped."""


class DurationObserver(Protocol):
    """Figures of how long things took."""

    def observe_duration(self, duration: Duration) -> None:
        """Count something that has just ended; never waits or raises."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the time in UTC, aware."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside the process that passes talk to."""

    cluster: Cluster
    counters: CounterSource
    downloads: DownloadSource
    pairs: PairSource
    servers: ServerSource
    metrics: MetricSource
    failures: FailureSource
    hooks: HookSource
    recorder: Recorder
    audit: AuditReceiver
    durations: DurationObserver
    clock: Clock
    epoch: Callable[[], str]
    """Returns the name of the present leadership; each change of leader makes another."""
