"""One verdict from many: a weighted mean of e-values for rollback, all of them for promotion.

A weighted mean of e-values is an e-value however they depend on each other, and in essence the only
admissible way to merge them (V. Vovk and R. Wang, E-values: calibration, combination and
applications, 2021). Errors have 40% of the budget for false rollbacks, slow answers 30%, client
errors, the slowest thousandth and the trend of the latency 10% each, all other metrics 30%, where
there are any, scaled to 100%. Weights are those of the plan, so that they are fixed: a metric that
cannot be read counts with what it showed last, and a source that stops answering changes nothing
for the others. The candidate fails when the mean reaches 1 / falseRollback; the culprit is the
metric that contributed most. In a bake the most that a metric has reached counts where it alone was
enough, since the mean was as much at that look: what a minute showed is not taken back by the good
ones after it, while the dispersion guard learns from these. Promotion needs every required metric
to pass, each at its own 5%: no correction is needed for that.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup
from slipway.policy.analysis.wording import odds_against
from slipway.policy.judgement import Role
from slipway.policy.statistics.eprocess import log_sum
from slipway.records import record

BUDGET = {
    BudgetGroup.ERRORS: 0.4,
    BudgetGroup.SLOW: 0.3,
    BudgetGroup.CLIENT: 0.1,
    BudgetGroup.FAR: 0.1,
    BudgetGroup.TREND: 0.1,
    BudgetGroup.REST: 0.3,
}
"""In parts of the sum over the groups that have members."""
LATER = frozenset({BudgetGroup.FAR})
"""Groups whose metrics come once there are enough samples; until then their part is kept."""
SPENDING = frozenset({Role.REQUIRED, Role.ADVISORY})
"""Roles of metrics that may roll back on the common budget."""
MOST_DIVISIONS = 256
"""Of the budget, that stay known: one for each set of metrics."""
ALMOST = math.log(10.0)
"""A metric is under suspicion from a tenth of what it needs."""


@record
class Stake:
    """A metric's part in the mean."""

    metric: Assessment
    log_share: float
    """Of the weights, which are 1 together."""
    need: float
    """Log e that fails the candidate by this metric alone."""

    @property
    def is_held(self) -> bool:
        """Whether only the dispersion guard stands between the evidence and a Fail."""
        return self.metric.guard_margin < 0 and self.most_log_e >= self.need

    @property
    def is_past(self) -> bool:
        """Whether the evidence was enough before, and is not now."""
        return self.metric.log_e < self.need <= self.metric.log_peak

    @property
    def most_log_e(self) -> float:
        """Log e now, or at its peak where that was enough: any look may decide (Ville)."""
        return self.metric.log_peak if self.is_past else self.metric.log_e

    @property
    def log_e(self) -> float:
        """What counts, held below `need` where the guard does not consent: less stays valid."""
        if self.metric.guard_margin >= 0:
            return self.most_log_e
        return min(self.metric.log_e, self.need + self.metric.guard_margin)

    @property
    def weighted(self) -> float:
        """Its contribution to the mean, as a logarithm."""
        return self.log_share + self.log_e


def merge_evidence(
    metrics: Sequence[Assessment], false_rollback: float, planned: int = 0
) -> list[Assessment]:
    """Return the metrics, in their order, with the merged verdict given by the culprit.

    `planned` is how many of the group `REST` share its budget, where more are planned than due.
    """
    spending: list[Assessment] = []
    alone: list[Assessment] = []
    for item in metrics:
        (spending if _spends_budget(item) else alone).append(item)
    stakes = _stakes_of(spending, false_rollback, planned)
    enough = math.log(1 / false_rollback)
    weighted = [stake.weighted for stake in stakes]
    total = log_sum(weighted)
    culprit = stakes[weighted.index(max(weighted))] if stakes else None

    # Missing data is never blame: while the largest part of the evidence cannot be read, it waits.
    if culprit is None or culprit.metric.is_missing or total < enough:
        said = {stake.metric.judgement.name: _hold_suspicious_pass(stake) for stake in stakes}
    else:
        said = {stake.metric.judgement.name: stake.metric for stake in stakes}
        said[culprit.metric.judgement.name] = _fail_by(culprit, total, enough)

    said |= {item.judgement.name: _report_alone(item, false_rollback) for item in alone}
    return [said[item.judgement.name] for item in metrics]


def _spends_budget(item: Assessment) -> bool:
    return item.group is not BudgetGroup.NONE and item.judgement.role in SPENDING


def _stakes_of(metrics: Sequence[Assessment], false_rollback: float, planned: int) -> list[Stake]:
    parts = tuple([(item.group, item.parts) for item in metrics])
    shares = _divide_budget(parts, false_rollback, planned)
    return [Stake(item, *share) for item, share in zip(metrics, shares, strict=True)]


@lru_cache(MOST_DIVISIONS)
def _divide_budget(
    wanted: tuple[tuple[BudgetGroup, int], ...], false_rollback: float, planned: int
) -> list[tuple[float, float]]:
    """Return log share and need of each metric, by group and parts: the same at most looks."""
    parts = Counter[BudgetGroup]()
    for group, number in wanted:
        parts[group] += number
    parts[BudgetGroup.REST] = max(parts[BudgetGroup.REST], planned)

    present = {group for group in parts if parts[group]}
    groups = {*present, *LATER} if BudgetGroup.ERRORS in present else present
    whole = sum(BUDGET[group] for group in BudgetGroup if group in groups)
    divided = []
    for group, number in wanted:
        share = BUDGET[group] * number / whole / parts[group]
        divided.append((math.log(share), math.log(1 / (false_rollback * share))))
    return divided


def _fail_by(stake: Stake, total: float, enough: float) -> Assessment:
    metric = stake.metric
    when = " while it was worse" if stake.is_past else ""
    text = (
        f"{metric.figures}; evidence {odds_against(total)} against the candidate{when} "
        f"(rolls back at {odds_against(enough)}){_advise(metric)}"
    )
    return metric.with_verdict(Verdict.FAIL, metric.fail_reason, text)


def _hold_suspicious_pass(stake: Stake) -> Assessment:
    """Say that evidence mounts; a Pass waits until it is gone, others keep their reason."""
    metric = stake.metric
    if metric.is_missing:
        return metric
    if stake.is_held:
        what = "was worse for a while" if stake.is_past else "is worse"
        text = (
            f"the candidate {what}, but within pod-to-pod noise: {metric.figures}{_advise(metric)}"
        )
        return metric.with_verdict(Verdict.INCONCLUSIVE, Reason.ARM_NOISE, text)

    is_pass = metric.judgement.verdict is Verdict.PASS
    is_open = is_pass or metric.judgement.reason is Reason.UNDECIDED
    is_early = is_open and metric.log_e >= metric.suspect_at
    if is_early or (is_pass and stake.log_e >= stake.need - ALMOST):
        log_e = metric.log_e if is_early else stake.log_e
        text = (
            f"evidence {odds_against(log_e)} against the candidate "
            f"(rolls back at {odds_against(stake.need)}): {metric.figures}{_advise(metric)}"
        )
        return metric.with_verdict(Verdict.INCONCLUSIVE, Reason.UNDER_SUSPICION, text)
    return metric


def _advise(metric: Assessment) -> str:
    return f"; {metric.advice}" if metric.advice else ""


def _report_alone(item: Assessment, false_rollback: float) -> Assessment:
    """Return a metric that spends nothing; one that is only reported may still say Fail."""
    if (
        item.group is BudgetGroup.NONE
        or item.is_missing
        or item.log_e < math.log(1 / false_rollback)
    ):
        return item
    text = f"{item.figures}; reported only"
    return item.with_verdict(Verdict.FAIL, item.fail_reason, text)
