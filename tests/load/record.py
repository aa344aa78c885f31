"""What the client counted; one JSON line per second on its standard output."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests that ended; one in flight is not among them yet."""

    sent: int = 0
    failed: int = 0
    """Everything but a complete answer with a 2xx status: other statuses, resets, timeouts."""
    failed_by_model: int = 0
    """Those of `failed` whose body holds the marker of the sample model's planted fault."""

    @property
    def lost(self) -> int:
        """Requests that failed and that the model itself did not fail."""
        return self.failed - self.failed_by_model

    def minus(self, earlier: "Totals") -> "Totals":
        """Return what came since `earlier`."""
        return Totals(
            self.sent - earlier.sent,
            self.failed - earlier.failed,
            self.failed_by_model - earlier.failed_by_model,
        )

    def plus(self, other: "Totals") -> "Totals":
        """Return both together."""
        return Totals(
            self.sent + other.sent,
            self.failed + other.failed,
            self.failed_by_model + other.failed_by_model,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One second."""

    t: int
    """Unix time at which the second began; requests count in the second in which they ended."""
    counts: Totals
    revisions: dict[str, int] = field(default_factory=dict)
    """Answers by `x-slipway-revision`; `none` where it was missing."""
    causes: dict[str, int] = field(default_factory=dict)
    """Failures by what was seen."""
    last_sent: dict[str, float] = field(default_factory=dict)
    """By revision: Unix time at which the last request was sent that it answered in this second."""
    p50_millis: float = 0.0
    p99_millis: float = 0.0
    in_flight: int = 0
    total: Totals = Totals()
    """Since the start."""
    last: bool = False
    """True on the final line, when no request is in flight any more."""

    def to_line(self) -> str:
        """Return the JSON line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def percent_of(self, revision: str) -> float:
        """Return how many percent of the answers came from `revision`."""
        answers = sum(self.revisions.values())
        return 100 * self.revisions.get(revision, 0) / answers if answers else 0.0


def parse_line(line: str) -> Record | None:
    """Return the record of a line, or None for any other text, such as a line that was cut."""
    try:
        raw: dict[str, Any] = json.loads(line)
        counts, total = Totals(**raw.pop("counts")), Totals(**raw.pop("total"))
        return Record(counts=counts, total=total, **raw)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
