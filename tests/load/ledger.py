"""Counts answers by the second in which they came."""

from collections import Counter
from dataclasses import dataclass, field

from tests.load.record import Record, Totals

NO_REVISION = "none"
LONGEST_CAUSE = 160


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request ended."""

    revision: str = NO_REVISION
    cause: str = ""
    """Why it failed; empty: it did not."""
    by_model: bool = False
    """Whether the failure holds the marker of the sample model's planted fault."""


@dataclass(slots=True)
class _Second:
    t: int
    failed: int = 0
    failed_by_model: int = 0
    millis: list[float] = field(default_factory=list)
    revisions: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    last_sent: dict[str, float] = field(default_factory=dict)


class Ledger:
    """The current second, and the sum of those before."""

    def __init__(self, now: float) -> None:
        self._second = _Second(int(now))
        self._total = Totals()
        self.in_flight = 0

    def note(self, answer: Answer, millis: float, sent: float = 0.0) -> None:
        """Count a request that was sent at a Unix time and ended after `millis` milliseconds."""
        second = self._second
        second.millis.append(millis)
        second.revisions[answer.revision] += 1
        second.last_sent[answer.revision] = max(sent, second.last_sent.get(answer.revision, 0.0))
        if answer.cause:
            second.failed += 1
            second.failed_by_model += answer.by_model
            second.causes[answer.cause[:LONGEST_CAUSE]] += 1

    def close(self, now: float, *, last: bool = False) -> Record:
        """Return the record of the second that ended, and begin the one of `now`.

        A clock that woke the caller a little early makes no second twice.
        """
        done = self._second
        self._second = _Second(max(int(now), done.t + 1))
        counts = Totals(len(done.millis), done.failed, done.failed_by_model)
        self._total = self._total.plus(counts)
        done.millis.sort()

        return Record(
            t=done.t,
            counts=counts,
            revisions=dict(done.revisions),
            causes=dict(done.causes),
            last_sent={revision: round(sent, 3) for revision, sent in done.last_sent.items()},
            p50_millis=_quantile(done.millis, 0.5),
            p99_millis=_quantile(done.millis, 0.99),
            in_flight=self.in_flight,
            total=self._total,
            last=last,
        )


def _quantile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank quantile, in tenths; 0 without any value."""
    if not ordered:
        return 0.0
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1)
