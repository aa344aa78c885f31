"""Stand-ins that hold state: a clock that is moved by hand, a Lease, a cluster's contents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from slipway.api.kinds import Kind
from slipway.engine.cache import Ref
from slipway.engine.elector import LeaseRecord
from slipway.engine.recorder import EventRecord
from slipway.errors import ChangedUnderneath, ClusterUnavailable, ConflictError, Forbidden


@dataclass
class FakeClock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@dataclass
class FakeLeases:
    """One Lease; optimistic locking as the API server does it."""

    record: LeaseRecord | None = None
    is_down: bool = False
    loses_answers: bool = False
    """Does what is asked, and breaks the connection before the answer."""
    writes: int = 0

    async def read(self) -> LeaseRecord | None:
        self._answer()
        return self.record

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        self._answer()
        if self.record is not None:
            raise ConflictError("lease exists")
        return self._store(record)

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        self._answer()
        if self.record is None or self.record.version != record.version:
            raise ChangedUnderneath("lease changed")
        return self._store(record)

    def _answer(self) -> None:
        if self.is_down:
            raise ClusterUnavailable("connection refused")

    def _store(self, record: LeaseRecord) -> LeaseRecord:
        self.writes += 1
        self.record = replace(record, version=str(self.writes))
        if self.loses_answers:
            raise ClusterUnavailable("no answer within 3 s")
        return self.record


@dataclass
class FakeLister:
    """What exists in the cluster; `meanwhile` runs while a list is being made."""

    refs_by_uid: dict[str, Ref] = field(default_factory=dict)
    is_down: bool = False
    forbidden: set[tuple[Kind, str | None]] = field(default_factory=set)
    """What the operator has no right to list."""
    broken: set[Kind] = field(default_factory=set)
    """Kinds for which the API server has no answer, as with a conversion webhook that fails."""
    meanwhile: Callable[[], None] = lambda: None

    def add(self, *refs: Ref) -> None:
        self.refs_by_uid.update({ref.uid: ref for ref in refs})

    async def refs(self, kind: Kind, namespace: str | None) -> Sequence[Ref]:
        if self.is_down or kind in self.broken:
            raise ClusterUnavailable("connection refused")
        if (kind, namespace) in self.forbidden:
            raise Forbidden(f'{kind.plural} is forbidden: User "slipway" cannot list')
        found = [
            ref
            for ref in self.refs_by_uid.values()
            if ref.kind == kind and namespace in {None, ref.namespace}
        ]
        self.meanwhile()
        return found


@dataclass
class FakeEvents:
    """Events by name, with their counts."""

    counts: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    is_down: bool = False
    written_recently: bool = False
    """What a new process finds: its predecessor wrote the event minutes ago."""
    writes: int = 0

    async def create(self, event: EventRecord) -> None:
        if self.is_down:
            raise ClusterUnavailable("connection refused")
        if event.name in self.counts:
            raise ConflictError("event exists")
        self.writes += 1
        self.counts[event.name] = 1
        self.messages.append(event.message)

    async def repeat(self, event: EventRecord, *, by: int, quiet_seconds: float) -> bool:
        assert quiet_seconds > 0
        if event.name not in self.counts:
            return False
        if not self.written_recently:
            self.writes += 1
            self.counts[event.name] += by
        return True
