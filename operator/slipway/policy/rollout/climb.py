"""The weights that this candidate climbs, and the one that it must have the replicas for."""

from dataclasses import replace

from slipway.api.modeldeployment import Stage
from slipway.policy.ladder import Rung, list_rungs
from slipway.policy.rollout.draft import Draft
from slipway.policy.weights import ALL

GIVEN_BACK = 20
"""Percent that goes back to stable on an alarm in the bake."""


def rungs_for(draft: Draft) -> tuple[Rung, ...]:
    """Return the weights to climb; after an alarm the bake leaves stable its share."""
    rungs = list_rungs(draft.spec.rollout, draft.memory.schedule, draft.places)
    if draft.memory.alarm is None:
        return rungs
    return (*rungs[:-1], replace(rungs[-1], weight=ALL - GIVEN_BACK))


def rungs_to_climb(draft: Draft) -> tuple[Rung, ...]:
    """Return the weights to climb, the bake's last; none: straight to 100%, without judging."""
    if draft.stable is None or draft.memory.unjudged or draft.is_stable_down:
        return ()
    if draft.places == 1:
        return ()  # nobody is left to compare with
    return rungs_for(draft)


def next_weight(draft: Draft) -> int:
    """Return the weight that the candidate must have the replicas for; 0: it gets no more."""
    if draft.memory.outcome is not None or draft.memory.stage is Stage.ROLLING_BACK:
        return 0
    written, shadow = draft.written_weight, draft.memory.shadow
    if draft.memory.capacity is not None:
        # What was judged so far has its replicas; the next ones move once everybody agreed.
        return max(written, draft.memory.capacity.next_weight, 1)
    if draft.memory.stage is Stage.SHADOWING and shadow is not None:
        return shadow.replicas_percent  # replicas for the copies alone
    return next((rung.weight for rung in rungs_to_climb(draft) if rung.weight > written), ALL)
