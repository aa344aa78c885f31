"""What the last pass left: from status, or, where that is lost, from revisions and route."""

from dataclasses import replace

from slipway.api.modeldeployment import RolloutStatus, Stage
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.rollout.rejections import known_rejections
from slipway.policy.rollout_memory import from_status


def recall(facts: Facts) -> Decision:
    """Return a decision that changes nothing: everything as it was found."""
    status = facts.status
    memory = from_status(status.rollout or RolloutStatus())
    if status.rollout is None and facts.candidate is not None:
        # The status was lost, and the route shows a candidate in traffic: its step begins again.
        memory = replace(memory, stage=Stage.PROGRESSING)

    if not _shows_cases(facts):
        shown = (it.model_copy(update={"disagreements": None}) for it in memory.analysis)
        memory = replace(memory, analysis=tuple(shown))

    is_held = status.hold is not None and status.hold.input == facts.input
    rejected = known_rejections(facts) if facts.is_status_lost else tuple(status.rejected)
    return Decision(
        memory=memory,
        stage=memory.stage,
        stable=facts.stable,
        candidate=facts.candidate,
        weights=dict(facts.route.weights) if facts.route else {},
        asleep=facts.route is not None and facts.route.asleep,
        history=tuple(status.history),
        rejected=rejected,
        hold=status.hold if is_held else None,
        source=status.source if status.source and status.source.input == facts.input else None,
        after_promotion=status.after_promotion,
        last_rollback=status.last_rollback,
        last_action=status.last_action,
        refused_action=status.refused_action,
    )


def _shows_cases(facts: Facts) -> bool:
    golden = facts.spec.model.golden_set
    return golden is None or golden.show_cases is not False
