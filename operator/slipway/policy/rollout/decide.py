"""The decision of one pass: `decide(facts, now)` says what should be true after it.

Pure and total: nothing is remembered between passes but what `status` says, so a restarted operator
decides the same. A weight counts only when every proxy has acknowledged it, a step is judged only
on requests since then, and what is missing holds: it never promotes and never blames.
"""

from datetime import datetime

from slipway.api.modeldeployment import Outcome, Stage
from slipway.policy.container_evidence import find_container_evidence
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.rollout.actions import carry_out_action
from slipway.policy.rollout.active_clock import tick
from slipway.policy.rollout.after_promotion import note_worsening
from slipway.policy.rollout.baking import bake
from slipway.policy.rollout.checking import check
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.fast_lane import takes_fast_lane
from slipway.policy.rollout.gap import has_given_way, note_end_of_gap
from slipway.policy.rollout.idle import stay_idle_or_begin
from slipway.policy.rollout.packaging import package_beside
from slipway.policy.rollout.progressing import progress
from slipway.policy.rollout.promotion import promote, was_promoted_before
from slipway.policy.rollout.recall import recall
from slipway.policy.rollout.recreating import make_room
from slipway.policy.rollout.rolling_back import act_on_evidence, begin_rollback, roll_back
from slipway.policy.rollout.scheduling import fix_schedule
from slipway.policy.rollout.settle import settle
from slipway.policy.rollout.shadowing import shadow
from slipway.policy.rollout.stable_readiness import note_stable_readiness
from slipway.policy.rollout.starting import start
from slipway.policy.rollout.swapping import note_gap, plan_places


def decide(facts: Facts, now: datetime) -> Decision:
    """Return what should be true after this pass, and when to look again."""
    draft = note_stable_readiness(Draft(recall(facts), facts, now))
    draft = note_gap(note_end_of_gap(draft))
    draft = fix_schedule(note_worsening(carry_out_action(draft)))
    draft = _take_step(plan_places(draft))
    if draft.candidate:
        draft = package_beside(draft)
    return settle(draft).decision


def decide_actions_only(facts: Facts, now: datetime) -> Decision:
    """Return what was found, and what a person asked for since: nothing else happened.

    What they want holds though no object could be written: a pause stops the clock, an abort is
    carried out as soon as anything can be.
    """
    found = Draft(recall(facts), facts, now)
    draft = carry_out_action(found)
    if facts.traffic is None and draft.memory.skipped_weight != found.memory.skipped_weight:
        return found.decision  # nobody has looked at the evidence that a skip would pass over
    if not draft.is_paused:
        return draft.decision
    return draft.remember(tick(draft.memory, now, stopped=True)).decision


def _take_step(draft: Draft) -> Draft:
    """Take the step of the present stage, unless something else comes first."""
    facts, memory, candidate = draft.facts, draft.memory, draft.candidate_revision
    if candidate is None:
        return stay_idle_or_begin(draft)

    # What has been decided is finished first, also after a crash. Its own record may say that it
    # was promoted where the status does not yet: nothing that was asked since can undo that.
    if candidate.name == draft.stable:
        return promote(draft)
    if memory.stage is Stage.ROLLING_BACK:
        return roll_back(draft)
    if memory.outcome is not None:
        return begin_rollback(draft, memory.outcome, memory.cause)
    if was_promoted_before(draft):
        return promote(draft)

    # Then what ends a rollout at every stage: another input, and what the containers say.
    is_other = candidate.snapshot.input != facts.input and not draft.goes_back
    if is_other and not _may_finish(draft):
        return begin_rollback(draft, Outcome.SUPERSEDED, "the spec asks for another input")
    stopped = _act_on_containers(draft) or make_room(draft)
    if stopped is not None:
        return stopped
    match memory.stage:
        case Stage.CHECKING:
            return check(draft)
        case Stage.SHADOWING:
            return shadow(draft)
        case Stage.PROGRESSING:
            return progress(draft)
        case Stage.BAKING:
            return bake(draft)
        case _:
            return start(draft)


def _act_on_containers(draft: Draft) -> Draft | None:
    """Return the draft that acts on what containers say; None: they say nothing against it."""
    witness = None if has_given_way(draft) else draft.stable
    evidence = find_container_evidence(draft.facts, draft.candidate, witness, draft.now)
    if evidence is None:
        return None
    cause = f"{evidence.reason}: {evidence.message}"
    return act_on_evidence(draft, Outcome.ROLLED_BACK, cause, metric="resources")


def _may_finish(draft: Draft) -> bool:
    """Return whether the candidate ends its way before another input gets its turn.

    A bake does, unless the spec is back at stable, or at what was promoted before. So does a
    candidate that serves alone: its traffic must not be taken for a version that has no replica
    yet.
    """
    stable = draft.stable_revision
    wanted = draft.facts.wanted
    is_back = stable is not None and stable.snapshot.input == draft.facts.input
    is_back = is_back or (wanted is not None and takes_fast_lane(draft, wanted.name))
    is_baking = draft.memory.stage is Stage.BAKING and not is_back
    repairs_outage = draft.stable is None or draft.is_stable_down
    return is_baking or (draft.serves_alone and repairs_outage)
