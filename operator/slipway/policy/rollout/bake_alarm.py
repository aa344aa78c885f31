"""A bake in which stable has no traffic: before beside after, and never more than an alarm.

Without anybody to compare with at the same moment, a candidate that turns worse may be the victim
of an outage. So an alarm gives a fifth of the traffic back to stable, and then the usual test, on
both at once, decides.
"""

from dataclasses import replace

from slipway.api.modeldeployment import AnalysisMode, Before, Stage, Tolerance
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement
from slipway.policy.ladder import Rung, rungs_of
from slipway.policy.rollout.transition import ACK_POLL, at
from slipway.policy.statistics.wilson import FAIL_Z, PASS_Z, wilson_interval

ALL = 100
GIVEN_BACK = 20
"""Percent that goes back to stable on an alarm."""
COMPARED = frozenset({"errors", "latency", "latency-p90", "latency-p99"})
"""Metrics that are shares of requests."""


def ladder_of(d: Decision, facts: Facts) -> tuple[Rung, ...]:
    """Return the weights to climb; after an alarm the bake leaves stable its share."""
    rungs = rungs_of(facts.spec.rollout)
    if d.memory.alarm is None:
        return rungs
    return (*rungs[:-1], replace(rungs[-1], weight=ALL - GIVEN_BACK))


def remember_before(d: Decision, facts: Facts, rung: Rung) -> Decision:
    """Note what the last step showed, where the next one leaves nothing to compare with."""
    if rung.weight < ALL or d.stable is None or d.memory.unjudged:
        return d
    before = [
        Before(name=item.name, ratio=item.candidate, samples=item.samples)
        for item in facts.judgements
        if item.name in COMPARED and item.candidate is not None and item.samples
    ]
    return replace(d, memory=d.memory.model_copy(update={"before": before}))


def alarm(d: Decision, facts: Facts) -> str | None:
    """Return why the candidate seems worse than before it had all of the traffic, or None."""
    analysis = facts.spec.rollout.analysis
    if facts.written_weight(d.candidate) < ALL or analysis.mode is AnalysisMode.OFF:
        return None
    known = {entry.name: entry for entry in d.memory.before}
    for item in facts.judgements:
        before = known.get(item.name)
        if before is None or item.candidate is None or item.samples < analysis.min_samples:
            continue
        if _is_worse(item, before, analysis.tolerance):
            return (
                f"{item.name}: {item.candidate:.2%} of {item.samples} requests, "
                f"{before.ratio:.2%} of {before.samples} in the step before"
            )
    return None


def _is_worse(after: Judgement, before: Before, tolerance: Tolerance) -> bool:
    ratio = after.candidate or 0.0
    was = wilson_interval(round(before.ratio * before.samples), before.samples, PASS_Z)[1]
    limit = (1 + tolerance.relative) * was + tolerance.absolute
    return wilson_interval(round(ratio * after.samples), after.samples, FAIL_Z)[0] > limit


def give_back(d: Decision, why: str) -> Decision:
    """Move a share back to stable, so that the two can be compared."""
    memory = d.memory.model_copy(update={"alarm": why[:1024]})
    message = f"{GIVEN_BACK} % go back to stable to compare: {why}"
    held = at(replace(d, memory=memory), Stage.BAKING, "BakeAlarm", message, requeue_after=ACK_POLL)
    weights = dict.fromkeys(d.weights, 0)
    weights |= {d.candidate or "": ALL - GIVEN_BACK, d.stable or "": GIVEN_BACK}
    event = Event("BakeAlarm", message[:1000], warning=True)
    return replace(held, weights=weights, events=(*d.events, event), needs_live_read=True)
