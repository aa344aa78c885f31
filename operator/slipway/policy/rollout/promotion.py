"""Promotion: a pointer moves to the candidate, no pod restarts."""

from dataclasses import replace

from slipway.api.modeldeployment import AnalysisMode, LastRollback, Outcome, Stage
from slipway.api.reasons import Reason
from slipway.policy.ladder import keep_steps
from slipway.policy.rollout.after_promotion import (
    begin_watching,
    find_evidence_against_stable,
    find_judged_level,
)
from slipway.policy.rollout.draft import IN_TRAFFIC, SAFETY_POLL, Draft
from slipway.policy.rollout.rejections import record_outcome
from slipway.policy.rollout.rolling_back import note_restored
from slipway.policy.rollout.swapping import ONLY_PLACE
from slipway.policy.weights import ALL


def promote(draft: Draft) -> Draft:
    """Make the candidate stable; what was promoted without evidence says who skipped it."""
    candidate = draft.candidate
    version = draft.facts.revisions[candidate].snapshot.version
    unjudged = draft.memory.unjudged or _find_unjudged(draft) or draft.memory.skipped
    message = f"version {version} serves"
    watched = begin_watching(draft, candidate)
    draft = record_outcome(
        draft,
        Outcome.PROMOTED,
        message,
        unjudged=unjudged,
        against=find_evidence_against_stable(draft),
        level=find_judged_level(draft, watched),
    )

    memory = replace(
        draft.memory,
        stage=Stage.IDLE,
        step=len(draft.steps),
        acked_weight=ALL,
        schedule=keep_steps(draft.memory.schedule),
        judged_weight=0,
        failures=0,
        retry_at=None,
        unjudged=None,
        skipped=None,
        skipped_weight=0,
    )
    weights = dict.fromkeys(draft.decision.weights, 0) | {candidate: ALL}
    decision = replace(
        draft.decision,
        memory=memory,
        stable=candidate,
        candidate=None,
        header_revision=None,
        after_promotion=watched,
        last_rollback=_end_way_back(draft),
    )

    draft = draft.having(decision).route(weights)
    draft = draft.tell(Reason.PROMOTED, f"version {version}, revision {candidate}")
    return draft.enter(Stage.IDLE, Reason.PROMOTED, message, requeue_after=SAFETY_POLL)


def was_promoted_before(draft: Draft) -> bool:
    """Return whether a pass noted the promotion and was killed before it wrote the status."""
    known, started = draft.facts.revisions[draft.candidate], draft.memory.started_at
    return (
        known.outcome is Outcome.PROMOTED
        and known.outcome_at is not None
        and started is not None
        and known.outcome_at > started
        and draft.memory.stage in IN_TRAFFIC
    )


def _end_way_back(draft: Draft) -> LastRollback | None:
    """Return the newest roll back; the way back to an earlier revision ends with its promotion."""
    last = draft.decision.last_rollback
    if last is None or last.to != draft.decision.candidate or last.traffic_restored_at is not None:
        return last
    moment = draft.facts.acknowledged_at or draft.now
    return note_restored(last, traffic=moment, capacity=moment)


def _find_unjudged(draft: Draft) -> str | None:
    if draft.stable is None:
        return None
    if draft.places == 1:
        return ONLY_PLACE
    if draft.is_stable_down:
        return Reason.STABLE_DOWN
    if draft.spec.rollout.analysis.mode is AnalysisMode.OFF:
        return "spec.rollout.analysis.mode is Off"
    return None
