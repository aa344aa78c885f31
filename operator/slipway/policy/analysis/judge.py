"""First form of the verdict: the candidate's bad ratio beside stable's, by Wilson bounds.

Per step, since every proxy acknowledged its weight. The limit is (1 + relative) · stable +
absolute. Fail when even the lower bound of the candidate's ratio is above the limit that the upper
bound of stable's gives: stable's ratio is a sample too. Pass when the candidate's upper bound is
near the limit of stable's ratio, or nothing was bad; what is too little or unreadable holds and
never decides.

Source of the bounds: E. B. Wilson, Probable inference, JASA 22 (1927) 209-212.
"""

import math
from collections.abc import Mapping
from datetime import datetime

from slipway.api.modeldeployment import Tolerance
from slipway.policy.analysis.port import Inputs, Plan
from slipway.policy.analysis.samples import NOTHING, Memory, Triple, advance, load
from slipway.policy.facts import Judgement

FAIL_Z = 3.0
PASS_Z = 1.64
PASS_MARGIN = 0.05
SHARED_FAULT = 0.2
"""Where stable itself is this bad, something else is broken: nobody is blamed."""


def wilson(bad: int, total: int, z: float) -> tuple[float, float]:
    """Return the Wilson interval of a ratio; (0, 1) without samples."""
    if total <= 0:
        return 0.0, 1.0
    ratio, square = bad / total, z * z
    centre = (ratio + square / (2 * total)) / (1 + square / total)
    half = (
        z
        / (1 + square / total)
        * math.sqrt(ratio * (1 - ratio) / total + square / (4 * total * total))
    )
    return max(0.0, centre - half), min(1.0, centre + half)


def judge(
    memories: Mapping[str, str],
    inputs: Inputs,
    plan: Plan,
    now: datetime,  # noqa: ARG001
) -> tuple[Judgement, ...]:
    """Return the judgements of errors and latency; see `slipway.policy.analysis.port`."""
    memory = memories.get("errors")
    answered = [tick for tick in inputs.ticks if tick is not None]
    state = load(memory, plan.step)
    if not answered:
        text = "no router pod could be read; nothing is decided on it"
        return tuple(
            Judgement(name, "NoData", "ProviderError", text, state=kept)
            for name, kept in (("errors", state.dump()), ("latency", None))
        )
    state = advance(state, answered, plan.route, plan.stable)
    errors = _compare("errors", 1, state, plan)
    latency = _latency(state, plan)
    return (_with_state(errors, state.dump()), latency)


def _with_state(judgement: Judgement, text: str) -> Judgement:
    return Judgement(
        judgement.name,
        judgement.verdict,
        judgement.reason,
        judgement.message,
        judgement.candidate,
        judgement.baseline,
        judgement.limit,
        judgement.samples,
        judgement.baseline_samples,
        text,
    )


def _latency(state: Memory, plan: Plan) -> Judgement:
    if state.edge is None:
        text = "stable has answered too few requests to say what slow is"
        return Judgement("latency", "NoData", "TooFewRequests", text)
    return _compare("latency", 2, state, plan)


def _compare(name: str, column: int, state: Memory, plan: Plan) -> Judgement:
    candidate: Triple = state.sums.get(plan.candidate, NOTHING)
    stable: Triple = state.sums.get(plan.stable, NOTHING)
    samples, bad = candidate[0], candidate[column]
    baseline_samples, baseline_bad = stable[0], stable[column]
    baseline = baseline_bad / baseline_samples if baseline_samples else 0.0
    limit = _limit(baseline, plan.tolerance)
    worst = _limit(wilson(baseline_bad, baseline_samples, PASS_Z)[1], plan.tolerance)
    what = "errors" if name == "errors" else f"slower than {state.edge:g} ms"
    words = (
        f"{bad} of {samples} {what} beside {baseline_bad} of {baseline_samples} on stable, "
        f"limit {limit:.2%}"
    )

    def said(verdict: str, reason: str, text: str = words) -> Judgement:
        ratio = bad / samples if samples else None
        return Judgement(
            name, verdict, reason, text, ratio, baseline, limit, samples, baseline_samples
        )

    least = min(samples, baseline_samples)
    if least < plan.min_samples:
        who = "candidate" if samples <= baseline_samples else "stable"
        text = f"needs {plan.min_samples - least} more requests of {who}: {words}"
        return said("NoData" if least == 0 else "Inconclusive", "TooFewRequests", text)
    if baseline > SHARED_FAULT:
        return said("Inconclusive", "SharedFault", f"stable is as bad: {words}")
    if wilson(bad, samples, FAIL_Z)[0] > worst:
        return said("Fail", "ErrorRatio" if name == "errors" else "SlowRatio")
    if bad == 0 or wilson(bad, samples, PASS_Z)[1] < limit + PASS_MARGIN:
        return said("Pass", "WithinLimit")
    return said("Inconclusive", "Undecided")


def _limit(stable: float, tolerance: Tolerance) -> float:
    return (1 + tolerance.relative) * stable + tolerance.absolute
