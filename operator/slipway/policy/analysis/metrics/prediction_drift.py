"""Prediction drift as a metric: judged on its own, since a shift is not a fault.

The test itself is `slipway.policy.statistics.drift`. Its verdict is reported, or pauses the rollout
until a person decides; it never rolls back.
"""

from slipway.api.modeldeployment import Metric, MetricMode
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import Binned
from slipway.policy.judgement import Judgement, KeptText, Role
from slipway.policy.statistics import drift


def judge_drift(metric: Metric, reading: Binned | Why, step: str, state: str | None) -> Judgement:
    """Judge the shares of classes or bins since the step began; `state` is what was stored last."""
    role = Role.PAUSE if metric.effect is MetricMode.PAUSE else Role.REPORT_ONLY
    if isinstance(reading, Why):
        kept = KeptText(state) if state is not None else None
        return Judgement(
            metric.name, Verdict.NO_DATA, reading.reason, reading.message, memory=kept, role=role
        )

    shift = drift.measure_shift(state, step, reading.candidate, reading.stable)
    verdict, why = _verdict_on(shift)
    return Judgement(
        metric.name,
        verdict,
        why.reason,
        why.message,
        candidate=shift.index,
        limit=shift.limit,
        samples=shift.samples,
        baseline_samples=shift.baseline_samples,
        memory=shift.memory,
        role=role,
        since=step,
    )


def _verdict_on(shift: drift.Shift) -> tuple[Verdict, Why]:
    samples = f"{shift.samples:,} predictions vs {shift.baseline_samples:,} on stable"
    if shift.index is None:
        fewer = min(shift.samples, shift.baseline_samples)
        text = (
            f"needs {drift.FIRST_SAMPLE - fewer} more predictions on the side with fewer: {samples}"
        )
        return Verdict.INCONCLUSIVE, Why(Reason.TOO_FEW_PREDICTIONS, text)

    text = f"stability index {shift.index:.2f}, limit {shift.limit:.2f}: {samples}"
    if shift.is_large:
        return Verdict.FAIL, Why(Reason.PREDICTIONS_DRIFT, text)
    return Verdict.PASS, Why(Reason.NO_DRIFT, text)
