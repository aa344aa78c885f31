"""What many rollouts of one case came to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean, median, quantiles

from scipy.stats import beta

from tests.bench.analysis.rollouts.case import Case
from tests.bench.analysis.rollouts.climb import Ending, Result, climb
from tests.bench.analysis.seeds import seed_of
from tests.bench.analysis.store import Run


def roll_out(case: Case, number: int) -> Run:
    """Roll out once, with the seed of that number."""
    return asdict(climb(case, seed_of(case.name, number)))


@dataclass(frozen=True)
class CaseOutcome:
    """The endings of a case."""

    case: Case
    endings: Sequence[Ending]

    @classmethod
    def read(cls, case: Case, runs: Sequence[Run]) -> "CaseOutcome":
        """Return the outcome from stored runs."""
        endings = (Ending(**{**run, "result": Result(run["result"])}) for run in runs)
        return cls(case, tuple(endings))

    @property
    def runs(self) -> int:
        return len(self.endings)

    def number(self, result: Result) -> int:
        """Return how many rollouts ended so."""
        return sum(ending.result is result for ending in self.endings)

    def share(self, result: Result) -> float:
        """Return the share of rollouts that ended so."""
        return self.number(result) / self.runs

    @cached_property
    def found_after(self) -> list[int]:
        """Seconds from the fault to the roll back, of those that were rolled back for it."""
        return [ending.found_after for ending in self.endings if ending.found_after >= 0]

    @cached_property
    def at_full(self) -> list[int]:
        """Seconds to the beginning of the bake, of those that reached it."""
        return [ending.at_full for ending in self.endings if ending.at_full >= 0]

    @property
    def at_full_p90(self) -> float:
        """Seconds within which nine of ten rollouts reach the bake; infinite where fewer do."""
        reached = sorted(self.at_full)
        place = -(-9 * self.runs // 10) - 1
        return float(reached[place]) if place < len(reached) else float("inf")

    @property
    def median_harmed(self) -> float:
        return median(ending.harmed for ending in self.endings)

    @property
    def mean_harmed(self) -> float:
        return fmean(ending.harmed for ending in self.endings)

    @property
    def commonest_cause(self) -> str:
        """What most of those said that were not promoted; with its share, where it is not all."""
        causes = Counter(
            ending.cause for ending in self.endings if ending.result is not Result.PROMOTED
        )
        return causes.most_common(1)[0][0] if causes else ""


def interval(seen: int, runs: int) -> tuple[float, float]:
    """Return the two-sided 95% interval of a share (Clopper and Pearson 1934)."""
    low = float(beta.ppf(0.025, seen, runs - seen + 1)) if seen else 0.0
    high = float(beta.ppf(0.975, seen + 1, runs - seen)) if seen < runs else 1.0
    return low, high


def p90(values: Sequence[float]) -> float:
    """Return the value below which nine of ten lie."""
    return quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
