"""Progressing: the weight is acknowledged, judged, and only then raised."""

from dataclasses import replace
from datetime import timedelta

from slipway.api.modeldeployment import AnalysisMode, Outcome, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.judgement import deciding_judgement
from slipway.policy.ladder import Rung, find_bake, find_first_rung, find_next_rung
from slipway.policy.rollout.acknowledgement import weight_is_in_force
from slipway.policy.rollout.active_clock import seconds_in_step
from slipway.policy.rollout.baking import bake
from slipway.policy.rollout.climb import rungs_to_climb
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.evidence_record import note_pass
from slipway.policy.rollout.gap import is_in_gap
from slipway.policy.rollout.inconclusive import await_verdict
from slipway.policy.rollout.raising import raise_in_gap, raise_weight
from slipway.policy.rollout.rolling_back import act_on_evidence
from slipway.policy.rollout.scheduling import await_schedule, is_choosing_steps
from slipway.policy.rollout.shadow_record import first_weight
from slipway.policy.rollout.straight import go_straight
from slipway.policy.rollout.swapping import is_swapping
from slipway.policy.rollout.switching import switch
from slipway.policy.weights import ALL


def progress(draft: Draft) -> Draft:
    """Climb one weight at a time; each is in force and judged before the next is written."""
    if is_in_gap(draft) and not draft.written_weight:
        climbing = rungs_to_climb(draft)
        return raise_in_gap(draft, climbing[0] if climbing else Rung(ALL))
    in_force = weight_is_in_force(draft)
    if isinstance(in_force, Held):
        return in_force.draft
    draft = in_force.draft
    draft = draft.remember(replace(draft.memory, stage=Stage.PROGRESSING))

    rungs, written = rungs_to_climb(draft), draft.written_weight
    if not rungs:
        return go_straight(draft)
    if written == 0:
        if is_choosing_steps(draft):
            return await_schedule(draft)
        first = find_first_rung(rungs, first_weight(draft.memory))
        switches = draft.spec.rollout.switches_once
        return switch(draft, first) if switches else raise_weight(draft, first)
    if written >= find_bake(rungs).weight:
        return bake(draft.enter(Stage.BAKING, Reason.BAKING, "the bake begins"))

    # Evidence against the candidate counts at once, whatever else the step waits for.
    judgement = deciding_judgement(draft.facts.judgements)
    if judgement.verdict is Verdict.FAIL:
        return act_on_evidence(
            draft, Outcome.ROLLED_BACK, judgement.as_cause, metric=judgement.name
        )

    if draft.memory.skipped_weight == written or is_swapping(draft):
        return raise_weight(draft, find_next_rung(rungs, written))

    # A step's hold comes before its verdict: a Pass that comes early does not cut it short.
    holding = _hold_step(draft)
    if holding is not None:
        return holding
    if draft.spec.rollout.analysis.mode is not AnalysisMode.OFF:
        if judgement.verdict is not Verdict.PASS:
            message = f"at {draft.memory.acked_weight}%: {judgement.message}"
            return await_verdict(draft, Why(judgement.reason, message))
        draft = note_pass(draft)
    return raise_weight(draft, find_next_rung(rungs, written))


def _hold_step(draft: Draft) -> Draft | None:
    weight = draft.written_weight
    steps = [step for step in draft.steps if step.weight == weight]
    hold = steps[0].hold_seconds if steps else 0
    left = hold - seconds_in_step(draft.memory, draft.now)
    if left <= 0:
        return None

    requeue_after = min(timedelta(seconds=left), draft.analysis_interval)
    message = f"holding at {weight}% for {hold} s"
    return draft.enter(Stage.PROGRESSING, Reason.HOLDING, message, requeue_after=requeue_after)
