"""What a soak has counted so far; a file of it outlives a run that is cut short."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter
from slipway.api.modeldeployment import Outcome

from tests.load.plan import Wire
from tests.load.record import Totals


@dataclass(frozen=True, slots=True)
class Event:
    """One disturbance: when it began and ended, in Unix time, and what it was."""

    what: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Ended:
    """One version."""

    model: str
    version: str
    expected: Outcome
    outcome: str
    """Empty: it had no end in time."""
    reason: str
    began: float
    """Of the apply, in Unix time."""
    seconds: float
    """From the apply on."""

    @property
    def is_wrong(self) -> bool:
        """Whether it ended otherwise than it had to."""
        return self.outcome != self.expected


@dataclass(frozen=True, slots=True)
class WayBack:
    """How one roll back took the traffic away; all moments in Unix time, None: never seen."""

    model: str
    revision: str
    """The one that lost the traffic."""
    trigger: str
    decided: float
    """As the operator says."""
    stored: float | None = None
    """A watch showed the decision in the status."""
    written: float | None = None
    """A watch showed the route without any weight for the revision."""
    acknowledged: Mapping[str, float] = field(default_factory=dict)
    """By proxy: when it ran no weight of it any more, as it says itself."""
    restored: float | None = None
    """When all proxies had given the traffic back, as the status says."""
    known: float | None = None
    """A watch showed that the operator knew of it."""
    last_sent: Mapping[Wire, float] = field(default_factory=dict)
    """By protocol: when the clients sent the last request that the revision answered."""

    @property
    def seconds(self) -> float | None:
        """From the decision to weight 0 at all proxies."""
        return None if self.restored is None else self.restored - self.decided

    @property
    def known_seconds(self) -> float | None:
        """From the decision until the operator knew of it."""
        return None if self.known is None else self.known - self.decided

    @property
    def measured_seconds(self) -> float | None:
        """From the decision until the last request that the revision answered was sent.

        Streams are left out: one that is open stays where it is.
        """
        moments = [at for wire, at in self.last_sent.items() if wire is not Wire.STREAM]
        return max(0.0, max(moments) - self.decided) if moments else None


@dataclass(frozen=True, slots=True)
class Lost:
    """Requests of one second that failed, and that no model failed on purpose."""

    at: float
    model: str
    wire: Wire
    causes: Mapping[str, int]


@dataclass(slots=True)
class Tally:
    """All of it."""

    ended: list[Ended] = field(default_factory=list)
    backs: list[WayBack] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    missed: int = 0
    """Disturbances that could not be made, because the one before was not yet over."""
    totals: dict[Wire, Totals] = field(default_factory=dict)
    seconds: float = 0.0
    models: int = 0
    """Side by side."""
    load_averages: list[float] = field(default_factory=list)
    """Of the machine, at the end of each version."""

    def during(self, begin: float, end: float) -> list[Event]:
        """Return what went on between two moments, in Unix time."""
        return [each for each in self.events if each.began <= end and each.ended >= begin]

    def count(self, expected: Outcome) -> int:
        """Return how many versions that had to end so have ended."""
        return sum(each.expected is expected for each in self.ended)

    @property
    def total(self) -> Totals:
        """All requests."""
        total = Totals()
        for each in self.totals.values():
            total = total.plus(each)
        return total


_TALLIES = TypeAdapter(Tally)


def write_tally(tally: Tally, path: Path) -> None:
    """Write the file, as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(_TALLIES.dump_json(tally, indent=1))
    fresh.replace(path)


def read_tally(path: Path) -> Tally:
    """Return what the file holds; nothing counted yet where there is none.

    Raises:
        ValidationError: it holds something else.

    """
    return _TALLIES.validate_json(path.read_bytes()) if path.exists() else Tally()
