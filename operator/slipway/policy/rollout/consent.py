"""Who must agree before a weight rises: hooks, and a person where a metric pauses."""

from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import HookStage, Stage
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement, Role
from slipway.policy.rollout.hooks import consents
from slipway.policy.rollout.transition import at, interval


def asked(d: Decision, facts: Facts, weight: int, stage: HookStage, now: datetime) -> Decision:
    """Return the decision with everybody asked; `Decision.waits` says that somebody holds.

    `weight` is that of the rung above: an approval of it is an answer to a metric that pauses.
    """
    pausing = _pausing(facts)
    if pausing is not None and d.memory.approved_weight != weight:
        message = f"{pausing.name}: {pausing.message}; it waits for approval, or abort it"
        held = at(d, d.memory.stage, pausing.reason, message, requeue_after=interval(facts))
        return replace(held, stage=Stage.AWAITING_APPROVAL, waits=True)
    return consents(d, facts, stage, now)


def _pausing(facts: Facts) -> Judgement | None:
    found = (i for i in facts.judgements if i.role is Role.PAUSE and i.verdict == "Fail")
    return next(found, None)
