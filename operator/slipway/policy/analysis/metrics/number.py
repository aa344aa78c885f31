"""A number without counts, as a user's query returns it: above its limit or not, by the sign test.

At most once a minute it is one sample. It passes after three samples in a row within the limit,
which is a convention and no promise.
"""

import math

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.inputs import Valued
from slipway.policy.analysis.metric_memory import StoredState, ValueMemory, append_look, load_value
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look, Said
from slipway.policy.analysis.plan import MetricPlan, Plan
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import log_mean
from slipway.policy.statistics.mean_windows import SIGN_BETS
from slipway.records import replace

SAMPLE_SECONDS = 60.0
WITHIN = 3
"""Samples in a row that pass."""


def assess_number(
    metric: MetricPlan, reading: Valued, stored: StoredState, look: Look
) -> Assessment:
    """Return what a number says; both values are finite."""
    memory = load_value(stored.text) or ValueMemory(age=SAMPLE_SECONDS, lost=stored.times_lost)
    if look.is_new_step:
        memory = replace(memory, within=0, samples=0)

    limit = metric.maximum
    if limit is None and reading.stable is not None:
        limit = highest_allowed(reading.stable, metric, look.plan)
    if limit is None:
        message = "stable has no value to compare with"
        said = Verdict.NO_DATA, Reason.NO_BASELINE, message
        judgement = _describe_number(metric, reading, memory, None, look=look, said=said)
        return Assessment(judgement, BudgetGroup.REST, log_mean(memory.signs), is_missing=True)

    memory = _take_sample(memory, reading.candidate, limit, look)
    text = _compare_numbers(reading, limit, memory, look)
    said = _own_verdict(memory, text)
    return Assessment(
        _describe_number(metric, reading, memory, limit, look=look, said=said),
        BudgetGroup.REST,
        log_mean(memory.signs),
        fail_reason=Reason.ABOVE_LIMIT,
        figures=text,
    )


def _own_verdict(memory: ValueMemory, text: str) -> Said:
    if memory.within >= WITHIN:
        return Verdict.PASS, Reason.WITHIN_LIMIT, text
    message = f"needs {WITHIN - memory.within} more samples within the limit: {text}"
    return Verdict.INCONCLUSIVE, Reason.UNDECIDED, message


def highest_allowed(stable: float, metric: MetricPlan, plan: Plan) -> float:
    """Return the highest value that is no worse than this one of stable."""
    if metric.maximum is not None:
        return metric.maximum
    increase = metric.max_increase
    return (1 + (plan.tolerance.relative if increase is None else increase)) * stable


def _describe_number(
    metric: MetricPlan,
    reading: Valued,
    memory: ValueMemory,
    limit: float | None,
    *,
    look: Look,
    said: Said,
) -> Judgement:
    verdict, reason, message = said
    return Judgement(
        metric.name,
        verdict,
        reason,
        message,
        candidate=reading.candidate,
        baseline=reading.stable,
        limit=limit,
        samples=memory.samples if limit is not None else 0,
        memory=look.stamp(memory),
        role=metric.role,
        since=wording.timestamp(look.base.since),
        looks=memory.looks,
    )


def _take_sample(memory: ValueMemory, value: float, limit: float, look: Look) -> ValueMemory:
    age = memory.age + look.seconds
    if age < SAMPLE_SECONDS and memory.samples:
        return replace(memory, age=age)

    sign = 1 if value > limit else -1
    wins = (math.log1p(bet * sign) for bet in SIGN_BETS)
    return replace(
        memory,
        signs=tuple(old + won for old, won in zip(memory.signs, wins, strict=True)),
        within=memory.within + 1 if sign < 0 else 0,
        samples=memory.samples + 1,
        age=0.0,
        looks=append_look(memory.looks, value),
    )


def _compare_numbers(reading: Valued, limit: float, memory: ValueMemory, look: Look) -> str:
    stable = f" vs {reading.stable:.4g} on stable" if reading.stable is not None else ""
    return (
        f"value {reading.candidate:.4g}{stable}, limit {limit:.4g}, {memory.samples} samples, "
        f"since {wording.time_of_day(look.base.since)}" + wording.lost_state_note(memory.lost)
    )
