"""The word on which a rollout turns: what the evidence says about a candidate."""

from enum import StrEnum


class Verdict(StrEnum):
    """What the analysis, a metric or a check says about the candidate."""

    FAIL = "Fail"
    """Worse than stable, or beyond a fixed limit: the candidate is rolled back."""
    NO_DATA = "NoData"
    """Nothing could be measured: neither success nor blame; the weight is held."""
    INCONCLUSIVE = "Inconclusive"
    """Measured, and not enough to decide; the weight is held."""
    PASS = "Pass"
    """Within the limits that the user set; the weight may rise."""

    @property
    def severity(self) -> int:
        """How much it stands in the way of a promotion: 3 is Fail, 0 is Pass."""
        return len(Verdict) - 1 - list(Verdict).index(self)
