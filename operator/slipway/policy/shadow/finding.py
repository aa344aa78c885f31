"""What a look at the pairs of a rollout came to: values only."""

from dataclasses import dataclass

from slipway.api.modeldeployment import ShadowDifference
from slipway.api.verdict import Verdict
from slipway.policy.judgement import Judgement
from slipway.policy.shadow.counts import NO_PAIRS, PairCounts, PairsMemory


@dataclass(frozen=True, slots=True)
class PairsFinding:
    """What a look at the pairs came to."""

    judgements: tuple[Judgement, ...]
    memory: PairsMemory | None = None
    counts: PairCounts = NO_PAIRS
    first_weight: int = 0
    """Largest weight of the plan at which more harm than `max_harm` is ruled out; 0: none."""
    differences: tuple[ShadowDifference, ...] = ()
    earlier: tuple[str, ...] = ()
    """Countings that the pages show now."""
    is_offered: bool = False
    """A router pod has a page of pairs."""
    is_measured: bool = False
    """A comparer runs, whether it has seen pairs or not."""

    @property
    def failed(self) -> Judgement | None:
        """What is held against the candidate."""
        return next(
            (it for it in self.judgements if it.may_decide and it.verdict is Verdict.FAIL), None
        )
