"""One verdict from many: a weighted mean of e-values for rollback, all of them for promotion.

A weighted mean of e-values is an e-value however they depend on each other, and in essence the only
admissible way to merge them (V. Vovk and R. Wang, E-values: calibration, combination and
applications, 2021). Errors have 40 % of the budget for false rollbacks, slow answers 30 %, all
other metrics 30 %; a group without members leaves its part to the others. The candidate fails when
the mean reaches 1 / falseRollback; the culprit is whoever contributed most. Promotion needs every
required metric to pass, each at its own 5 %: no correction is needed for that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.policy.analysis import wording
from slipway.policy.analysis.metrics.assessment import Assessed, Group
from slipway.policy.judgement import Role
from slipway.policy.statistics.eprocess import log_sum

BUDGET = {Group.ERRORS: 0.4, Group.SLOW: 0.3, Group.REST: 0.3}
ALMOST = math.log(10.0)
"""A metric is said to be under suspicion from a tenth of what it needs."""


@dataclass(frozen=True, slots=True)
class Stake:
    """A metric's part in the mean."""

    metric: Assessed
    share: float
    need: float
    """Log e that fails the candidate by this metric alone."""

    @property
    def is_held(self) -> bool:
        """Whether only the dispersion guard stands between the evidence and a Fail."""
        return self.metric.consent < 0 and self.metric.log_e >= self.need

    @property
    def log_e(self) -> float:
        """Log e, held below `need` where the guard does not consent: smaller stays valid."""
        if self.metric.consent >= 0:
            return self.metric.log_e
        return min(self.metric.log_e, self.need + self.metric.consent)

    @property
    def weighted(self) -> float:
        """Its contribution to the mean, as a logarithm."""
        return math.log(self.share) + self.log_e


def merged(metrics: Sequence[Assessed], false_rollback: float) -> list[Assessed]:
    """Return the metrics with the merged verdict said by the culprit."""
    stakes = _stakes([item for item in metrics if _counts(item)], false_rollback)
    alone = [item for item in metrics if not _counts(item)]
    reported = [_reported(item, false_rollback) for item in alone]
    enough = math.log(1 / false_rollback)
    total = log_sum(stake.weighted for stake in stakes)
    culprit = max(stakes, key=lambda stake: stake.weighted, default=None)
    if culprit is None or total < enough:
        said = {stake.metric.judgement.name: _doubted(stake) for stake in stakes}
    else:
        said = {stake.metric.judgement.name: stake.metric for stake in stakes}
        said[culprit.metric.judgement.name] = _failed(culprit, total, enough)
    said |= {item.judgement.name: item for item in reported}
    return [said[item.judgement.name] for item in metrics]


def _counts(item: Assessed) -> bool:
    return item.group is not Group.NONE and item.judgement.role in {Role.REQUIRED, Role.ADVISORY}


def _stakes(metrics: Sequence[Assessed], false_rollback: float) -> list[Stake]:
    groups = [item.group for item in metrics]
    whole = sum(BUDGET[group] for group in set(groups))
    stakes = []
    for item in metrics:
        share = BUDGET[item.group] / whole / groups.count(item.group)
        stakes.append(Stake(item, share, math.log(1 / (false_rollback * share))))
    return stakes


def _failed(stake: Stake, total: float, enough: float) -> Assessed:
    metric = stake.metric
    text = (
        f"{metric.words}; evidence {wording.odds(total)} to 1 against it, "
        f"{wording.odds(enough)} to 1 rolls back"
    )
    return metric.said("Fail", metric.fail_reason, text)


def _doubted(stake: Stake) -> Assessed:
    """Say that evidence mounts; a Pass waits until it is gone, others keep their reason."""
    metric = stake.metric
    if stake.is_held:
        text = f"worse, but no worse than single pods can be by themselves, so far: {metric.words}"
        return metric.said("Inconclusive", "ArmNoise", text)
    if stake.log_e >= stake.need - ALMOST and metric.judgement.verdict == "Pass":
        text = (
            f"evidence {wording.odds(stake.log_e)} to 1 against it, "
            f"{wording.odds(stake.need)} to 1 rolls back: {metric.words}"
        )
        return metric.said("Inconclusive", "UnderSuspicion", text)
    return metric


def _reported(item: Assessed, false_rollback: float) -> Assessed:
    """Return a metric that spends nothing; one that is only reported may still say Fail."""
    if item.group is Group.NONE or item.log_e < math.log(1 / false_rollback):
        return item
    return item.said("Fail", item.fail_reason, f"{item.words}; it is only reported")
