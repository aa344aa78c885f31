"""Recreate: the revision that serves stops, and its pods are gone, before the candidate starts."""

from slipway.api.modeldeployment import Recreate, Stage
from slipway.api.reasons import Reason
from slipway.policy.ladder import Rung, find_bake
from slipway.policy.rollout.climb import rungs_to_climb
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.gap import (
    await_end,
    expect_replicas,
    has_given_way,
    open_gap,
)
from slipway.policy.rollout.guards import Guard, ask_guards, is_approved, is_in_window, not_paused
from slipway.policy.rollout.switching import take_record
from slipway.policy.weights import ALL

WHAT = "the stop of the revision that serves"


def begin_recreating(draft: Draft) -> Recreate | None:
    """Return what a rollout that starts remembers of its gap; None: it has none."""
    if not draft.spec.rollout.recreates or draft.stable is None:
        return None
    return Recreate(replicas=expect_replicas(draft.facts))


def make_room(draft: Draft) -> Draft | None:
    """Return the draft that stops stable, once everybody agrees; None: there is room."""
    recreate, stable = draft.memory.recreate, draft.stable
    if recreate is None or stable is None or draft.written_weight:
        return None
    if has_given_way(draft):
        return await_end(draft, stable, Stage.STARTING)

    draft = draft.enter(Stage.STARTING, Reason.RECREATING, "")
    answer = ask_guards(_guards_before_stop(draft), draft)
    if isinstance(answer, Held):
        return answer.draft
    draft = answer.draft
    if rungs_to_climb(draft):
        waiting = take_record(draft, Stage.STARTING)
        if waiting is not None:
            return waiting

    # As many as it has at this moment: its load may have changed since the rollout began.
    recreate = recreate.model_copy(update={"replicas": expect_replicas(draft.facts)})
    opened = open_gap(draft, recreate)
    return await_end(opened, stable, Stage.STARTING) or opened


def _guards_before_stop(draft: Draft) -> tuple[Guard, ...]:
    """Return what must agree before the gap: within it nothing is asked that takes a person."""
    rungs = rungs_to_climb(draft)
    rung = find_bake(rungs) if rungs else Rung(ALL)
    return (
        lambda it: not_paused(it, WHAT),
        lambda it: is_in_window(it, WHAT),
        lambda it: is_approved(it, rung),
    )
