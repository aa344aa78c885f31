"""Who has a say before a weight rises: hooks, and a person where a metric pauses."""

from slipway.api.modeldeployment import HookStage, Stage
from slipway.api.verdict import Verdict
from slipway.policy.judgement import Judgement, Role
from slipway.policy.ladder import Rung
from slipway.policy.rollout.draft import Agreed, Answer, Draft, Held
from slipway.policy.rollout.hooks import ask_hooks


def require_consent(draft: Draft, rung: Rung, stage: HookStage) -> Answer:
    """Hold until a metric that pauses is approved, and every hook of the stage agrees.

    An approval of the rung's weight is the answer to a metric that pauses. Who goes straight to
    100% was told to, so that nobody is asked again; the very first revision asks its hooks.
    """
    if not rung.number:
        is_first = draft.stable is None and not draft.memory.unjudged
        asks = is_first and stage is HookStage.BEFORE_TRAFFIC
        return ask_hooks(draft, stage) if asks else Agreed(draft)

    pausing = _find_pausing_metric(draft)
    if pausing is not None and draft.memory.approved_weight != rung.weight:
        held = draft.enter(
            draft.memory.stage,
            pausing.reason,
            f"{pausing.name}: {pausing.message}; approve to continue, or abort",
            shown=Stage.AWAITING_APPROVAL,
            requeue_after=draft.analysis_interval,
        )
        return Held(held)
    return ask_hooks(draft, stage)


def _find_pausing_metric(draft: Draft) -> Judgement | None:
    return next(
        (
            judgement
            for judgement in draft.facts.judgements
            if judgement.role is Role.PAUSE and judgement.verdict is Verdict.FAIL
        ),
        None,
    )
