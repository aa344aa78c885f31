"""What pairs of answers say: against the candidate, and for the weight that it may begin with.

Three metrics: errors, answers, latency. Their e-values are averaged with fixed weights, as those of
the steps are; a version that is no worse is refused with a chance of `false_refusal` at most,
however often it is looked at. For the candidate they bound, at 96% and at all looks together, the
harm that it would do: the same harm that a step has to rule out before the next weight. Sources and
the proof of the bound: `policy.statistics.pairs`; in words: docs/analysis.md.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from slipway.api.pairs import ratio_edges
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.wording import odds_against
from slipway.policy.judgement import Judgement, Role
from slipway.policy.shadow.budget import FALSE_PASS_OF_PAIRS
from slipway.policy.shadow.counts import MUCH, PairCounts, PairsMemory
from slipway.policy.statistics.eprocess import log_sum
from slipway.policy.statistics.pairs import (
    PairTable,
    bound_excess,
    log_above,
    log_against,
    log_below,
    log_for,
    log_mostly,
)

ERRORS, ANSWERS, LATENCY = "pair-errors", "pair-answers", "pair-latency"
PARTS = {ERRORS: 0.7, ANSWERS: 0.2, LATENCY: 0.1}
"""Of the budget: errors take the most pairs to find, a doubled latency takes a few dozen."""
SURE = -math.log(FALSE_PASS_OF_PAIRS)
"""Evidence for the candidate, in nats."""
FEWEST = 20
"""Pairs before anything is held against the candidate."""
MUCH_SLOWER_ALLOWED = 0.01
"""Share of the pairs that may take `MUCH` times as long: pauses of one machine are no fault."""
HALF = math.log(0.5)


@dataclass(frozen=True, slots=True)
class PairsPlan:
    """What pairs are held against; all shares are ratios in [0, 1]."""

    relative: float = 0.25
    absolute: float = 0.001
    max_harm: float = 0.01
    false_refusal: float = 0.005
    min_pairs: int = 200
    min_agreement: float = 0.99
    enforces_answers: bool | None = None
    """Whether other answers are held against the candidate; None: where most are the same."""
    weights: tuple[int, ...] = (100,)
    """Weights that it could begin with, in percent, ascending."""

    @property
    def limit_ratio(self) -> float:
        """How many times as long as stable the candidate may take: an edge of the histogram."""
        edges = ratio_edges()
        return next((edge for edge in edges if edge >= 1 + self.relative), edges[-1])

    @property
    def most_differing(self) -> float:
        """Share of the answers that may differ."""
        return 1 - self.min_agreement


@dataclass(frozen=True, slots=True)
class _Evidence:
    """One metric: how much there is against the candidate, and up to which weight for it."""

    name: str
    reason: Reason
    """Of a Fail."""
    against: float
    """In nats."""
    first_weight: int
    text: str
    """What was counted."""
    candidate: float
    limit: float
    samples: int
    baseline: float | None = None
    role: Role = Role.REQUIRED


def judge_pairs(memory: PairsMemory, plan: PairsPlan) -> tuple[tuple[Judgement, ...], int]:
    """Return what every metric says, and the weight up to which harm is ruled out."""
    counts = memory.total
    if not counts.pairs:
        text = "no request was answered by both yet"
        none = (Judgement(name, Verdict.NO_DATA, Reason.NO_PAIRS, text) for name in PARTS)
        return _remembering(tuple(none), memory), 0

    found = (
        _weigh_errors(counts, plan),
        _weigh_answers(counts, plan),
        _weigh_latency(counts, plan),
    )
    culprit = _find_culprit(found, counts, plan)
    judgements = tuple(_judge(item, culprit, plan) for item in found)
    required = [item.first_weight for item in found if item.role is Role.REQUIRED]
    first_weight = min(required) if counts.pairs >= plan.min_pairs else 0
    return _remembering(judgements, memory), first_weight


def _weigh_errors(counts: PairCounts, plan: PairsPlan) -> _Evidence:
    table = PairTable(counts.pairs, counts.worse, counts.better, counts.both)
    relative = 1 + plan.relative

    def bounds(margin: float) -> bool:
        return log_for(table, relative, margin) >= SURE

    bound = bound_excess(table, relative, SURE)
    return _Evidence(
        ERRORS,
        Reason.ERRORS_IN_SHADOW,
        log_against(table, relative, plan.absolute),
        _largest_weight(plan, bounds),
        f"{counts.worse:,} of {counts.pairs:,} pairs failed on the candidate alone, "
        f"{counts.better:,} on stable alone, {counts.both:,} on both; "
        f"at most {bound:.2%} more errors than tolerated",
        candidate=table.of_candidate / counts.pairs,
        baseline=table.of_stable / counts.pairs,
        limit=relative * table.of_stable / counts.pairs + plan.absolute,
        samples=counts.pairs,
    )


def _weigh_answers(counts: PairCounts, plan: PairsPlan) -> _Evidence:
    compared, limit = counts.agreed + counts.differing, plan.most_differing
    is_same_model = 2 * counts.agreed >= compared
    enforces = is_same_model if plan.enforces_answers is None else plan.enforces_answers

    def bounds(margin: float) -> bool:
        return log_below(counts.differing, compared, min(1.0, limit + margin)) >= SURE

    known = "" if enforces else "; only reported, as this version seems meant to answer differently"
    return _Evidence(
        ANSWERS,
        Reason.ANSWERS_DIFFER,
        log_above(counts.differing, compared, limit),
        _largest_weight(plan, bounds),
        f"{counts.differing:,} of {compared:,} answers differ from stable's{known}",
        candidate=counts.differing / compared if compared else 0.0,
        limit=limit,
        samples=compared,
        role=Role.REQUIRED if enforces else Role.REPORT_ONLY,
    )


def _weigh_latency(counts: PairCounts, plan: PairsPlan) -> _Evidence:
    """Weigh two questions: is the typical answer too slow, and are some of them much too slow."""
    much = PairTable(counts.timed, counts.much_slower, counts.much_faster)
    relative = 1 + plan.relative
    is_typical = log_mostly(counts.timed - counts.slower, counts.timed) >= SURE

    def bounds(margin: float) -> bool:
        return is_typical and log_for(much, relative, margin) >= SURE

    against = log_sum(
        (
            HALF + log_mostly(counts.slower, counts.timed),
            HALF + log_against(much, relative, MUCH_SLOWER_ALLOWED),
        )
    )
    return _Evidence(
        LATENCY,
        Reason.SLOWER_IN_SHADOW,
        against,
        _largest_weight(plan, bounds),
        f"{counts.slower:,} of {counts.timed:,} answers took more than {plan.limit_ratio:.2g} "
        f"times as long as stable's, {counts.much_slower:,} more than {MUCH:g} times",
        candidate=counts.slower / counts.timed if counts.timed else 0.0,
        limit=0.5,
        samples=counts.timed,
    )


def _largest_weight(plan: PairsPlan, bounds: Callable[[float], bool]) -> int:
    """Return the largest weight at which the harm of an excess would stay below `max_harm`.

    An excess of m harms weight * m of all requests: what bounds it by max_harm / weight is enough.
    """
    allowed = [weight for weight in plan.weights if bounds(min(1.0, 100 * plan.max_harm / weight))]
    return max(allowed, default=0)


def _find_culprit(found: Sequence[_Evidence], counts: PairCounts, plan: PairsPlan) -> str | None:
    """Return the largest contributor, where the mean of all e-values is large enough for a Fail."""
    shares = {
        item.name: math.log(PARTS[item.name]) + item.against
        for item in found
        if item.role is Role.REQUIRED
    }
    if counts.pairs < FEWEST or log_sum(shares.values()) < -math.log(plan.false_refusal):
        return None
    return max(shares, key=lambda name: shares[name])


def _judge(item: _Evidence, culprit: str | None, plan: PairsPlan) -> Judgement:
    needed = -math.log(plan.false_refusal * PARTS[item.name])
    is_reported = (
        item.role is Role.REPORT_ONLY and item.against >= needed and item.samples >= FEWEST
    )
    top = plan.weights[-1]

    if item.name == culprit or is_reported:
        odds, enough = odds_against(item.against), odds_against(needed)
        text = f"{item.text}; evidence {odds} against the candidate, {enough} is enough"
        verdict, reason = Verdict.FAIL, item.reason
    elif item.first_weight >= top:
        text = f"{item.text}; harm is ruled out up to a weight of {top}%"
        verdict, reason = Verdict.PASS, Reason.WITHIN_HARM
    else:
        so_far = "harm is not ruled out at any weight yet"
        if item.first_weight:
            so_far = f"harm is ruled out up to a weight of {item.first_weight}% so far"
        text = f"{item.text}; {so_far}; the aim is {top}%"
        verdict, reason = Verdict.INCONCLUSIVE, Reason.TOO_FEW_PAIRS

    return Judgement(
        item.name,
        verdict,
        reason,
        text,
        candidate=item.candidate,
        baseline=item.baseline,
        limit=item.limit,
        samples=item.samples,
        baseline_samples=item.samples,
        role=item.role,
    )


def _remembering(judgements: tuple[Judgement, ...], memory: PairsMemory) -> tuple[Judgement, ...]:
    """Return the judgements; the first of them stores the counts that all rest on."""
    return (replace(judgements[0], memory=memory), *judgements[1:])
