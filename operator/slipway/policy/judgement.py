"""The judgement of one metric: its verdict, the numbers behind it, and what the verdict may do."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.records import record


class Role(StrEnum):
    """What the verdict of a metric may do."""

    REQUIRED = "Required"
    """Rolls back, and promotion waits for its Pass."""
    ADVISORY = "Advisory"
    """Rolls back; promotion does not wait for it."""
    PAUSE = "Pause"
    """Promotion waits for its Pass, and at a Fail for a person."""
    REPORT_ONLY = "ReportOnly"
    """Reported, with no effect."""


class Memory(Protocol):
    """What a test remembers between two looks; it becomes text only where it is stored."""

    def encode(self) -> str:
        """Return the text for status."""


@record
class KeptText:
    """A memory that goes on as it was stored."""

    text: str

    def encode(self) -> str:
        """Return the text for status."""
        return self.text


@record
class Judgement:
    """What the analysis says of one metric."""

    name: str
    verdict: Verdict
    reason: Reason
    message: str
    candidate: float | None = None
    baseline: float | None = None
    limit: float | None = None
    samples: int = 0
    baseline_samples: int = 0
    memory: Memory | None = None
    """Of the test, to be stored as text and given back as it is."""
    role: Role = Role.REQUIRED
    since: str | None = None
    """From when on its samples count, RFC 3339."""
    looks: tuple[float, ...] = ()
    """The candidate's last values, newest last, for a sparkline."""

    @property
    def as_cause(self) -> str:
        """The judgement as the cause of a roll back."""
        return f"{self.reason}: {self.message}"

    @property
    def may_decide(self) -> bool:
        """Whether the rollout goes by it: what its verdict may do depends on its role."""
        match self.role:
            case Role.REQUIRED:
                return True
            case Role.ADVISORY:
                return self.verdict is Verdict.FAIL
            case Role.PAUSE:
                return self.verdict is not Verdict.FAIL  # then a person decides
            case Role.REPORT_ONLY:
                return False


UNJUDGED = "analysis"
"""Name of the judgement that stands for all metrics, where none could be judged."""
NOTHING_READ = Judgement(
    UNJUDGED, Verdict.NO_DATA, Reason.NO_DATA, "the router's counters were not read yet"
)


def texts_of(judgements: Iterable[Judgement]) -> dict[str, str]:
    """Return what is to be stored, by metric."""
    return {item.name: item.memory.encode() for item in judgements if item.memory is not None}


def deciding_judgement(judgements: Iterable[Judgement]) -> Judgement:
    """Return the worst judgement of those that may decide; none at all is NoData."""
    deciding = (judgement for judgement in judgements if judgement.may_decide)
    return max(deciding, key=lambda judgement: judgement.verdict.severity, default=NOTHING_READ)
