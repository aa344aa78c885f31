"""What a person asks for: each action is done once, or refused with a reason, and acknowledged.

The action is an annotation (`policy.action_grammar`); whether it makes sense now is decided by
`policy.action_refusals`; what it does is the table `EFFECTS` below.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from slipway.api.modeldeployment import LastAction, Outcome, Stage
from slipway.api.names import (
    ANNOTATION_ACTION,
    ANNOTATION_ACTION_REASON,
    ANNOTATION_REQUESTED_BY,
)
from slipway.api.reasons import Reason, Why, shortened
from slipway.api.times import from_wire, to_wire
from slipway.api.verdict import Verdict
from slipway.policy.action_grammar import (
    Action,
    find_wrong_date,
    parse_action,
    read_request_reason,
)
from slipway.policy.action_refusals import Situation, find_refusal
from slipway.policy.audit import describe_answer
from slipway.policy.decision import DONE
from slipway.policy.facts import Facts
from slipway.policy.judgement import deciding_judgement
from slipway.policy.ladder import find_first_rung, find_next_rung
from slipway.policy.rollout.checking import is_check_repeated
from slipway.policy.rollout.climb import rungs_for
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.earlier_revision import (
    ask_back,
    find_no_way_back,
    find_wanted_revision,
    hold_after_withdrawal,
)
from slipway.policy.rollout.hooks import forget_back_off, is_hook_waited_for
from slipway.policy.rollout.look_again import ask_for_look, can_look_again, is_look_asked_for
from slipway.policy.rollout.packaging import is_packaging_repeated
from slipway.policy.rollout.rejections import find_obstacle
from slipway.policy.rollout.shadow_record import end_early, first_weight

STATUS_LOST = "the status was lost, and with it whether this was done before; ask again"
UNVERIFIED = "unverified"
LONGEST_NAME = 128
LONGEST_SKIPPED = 256
MOST_EARLIER = 10
NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def carry_out_action(draft: Draft) -> Draft:
    """Return the draft with a new action done or refused; one that is known changes nothing.

    What is refused for its id is said, and does not count: the next one may have a smaller id.
    """
    facts, decision = draft.facts, draft.decision
    action = parse_action(facts.metadata.annotations.get(ANNOTATION_ACTION))
    if action is None or _is_answered(action, decision.last_action, decision.refused_action):
        return draft

    last_id = decision.last_action.id if decision.last_action is not None else 0
    created = from_wire(facts.metadata.creation_timestamp)
    misdated = find_wrong_date(action, last_id, created, draft.now)
    if misdated is not None:
        entry = _make_entry(action, decision.refused_action, draft, misdated)
        return _tell_answer(draft.having(replace(decision, refused_action=entry)), entry)

    refusal = Why(Reason.STATUS_LOST, STATUS_LOST) if facts.is_status_lost else None
    refusal = refusal or find_refusal(action, _see_situation(action, draft))
    entry = _make_entry(action, decision.last_action, draft, refusal)
    if refusal is None:
        draft = EFFECTS[action.verb](draft, action, entry.by)
    return _tell_answer(draft.having(replace(draft.decision, last_action=entry)), entry)


def _is_answered(action: Action, *entries: LastAction | None) -> bool:
    """Return whether the id is known: tools apply what they have, again and again."""
    told = [entry for entry in entries if entry is not None]
    return any(action.id in {entry.id, *entry.earlier} for entry in told)


def _make_entry(
    action: Action, before: LastAction | None, draft: Draft, refusal: Why | None
) -> LastAction:
    earlier = [*before.earlier, before.id] if before is not None else []
    return LastAction(
        id=action.id,
        earlier=earlier[-MOST_EARLIER:],
        verb=action.verb,
        by=_name_requester(draft.facts),
        at=to_wire(draft.now),
        result=shortened(f"Refused: {refusal.message}") if refusal is not None else DONE,
        reason=refusal.reason if refusal is not None else None,
        request_reason=read_request_reason(
            draft.facts.metadata.annotations.get(ANNOTATION_ACTION_REASON), action
        ),
    )


def _tell_answer(draft: Draft, entry: LastAction) -> Draft:
    return draft.tell(Reason.ACTION, describe_answer(entry), warning=entry.result != DONE)


def _name_requester(facts: Facts) -> str:
    """Return who asked; only an admission policy makes the annotation worth anything."""
    name = facts.metadata.annotations.get(ANNOTATION_REQUESTED_BY, "")
    if not name or not facts.requester_is_verified:
        return UNVERIFIED
    return NOT_PRINTABLE.sub("?", name)[:LONGEST_NAME]


def _see_situation(action: Action, draft: Draft) -> Situation:
    memory, rollout = draft.memory, draft.facts.status.rollout
    judgement = deciding_judgement(draft.facts.judgements)
    written = draft.written_weight
    return Situation(
        candidate=draft.decision.candidate,
        step=memory.step,
        stage=rollout.stage if rollout is not None else Stage.IDLE,
        underlying=Stage.ROLLING_BACK if memory.outcome is not None else memory.stage,
        weight=memory.acked_weight,
        lowered_to=written if written < memory.acked_weight else None,
        straight=memory.unjudged,
        skipped=0 < memory.acked_weight == memory.skipped_weight,
        paused_by_action=memory.paused,
        paused_by_spec=draft.spec.paused,
        failing=judgement.message if judgement.verdict is Verdict.FAIL else None,
        coming=not draft.candidate and _is_coming(draft),
        can_retry=_can_retry(draft),
        no_way_back=find_no_way_back(action.argument, draft),
    )


def _is_coming(draft: Draft) -> bool:
    """Also where nothing of it could be written yet, as when admission denies its Deployment."""
    if find_wanted_revision(draft) is not None:
        return True
    if draft.memory.stage in {Stage.PACKAGING, Stage.FAILED}:
        return True
    stable = draft.stable_revision
    is_new = stable is None or stable.snapshot.input != draft.facts.input
    return is_new and draft.facts.spec_error is None and find_obstacle(draft) is None


def _can_retry(draft: Draft) -> bool:
    return (
        is_packaging_repeated(draft)
        or find_obstacle(draft) is not None
        or draft.memory.failures > 0
        or is_look_asked_for(draft)
        or is_check_repeated(draft)
        or is_hook_waited_for(draft)
    )


def _approve(draft: Draft, _action: Action, _by: str) -> Draft:
    memory, rungs = draft.memory, rungs_for(draft)
    if memory.acked_weight:
        rung = find_next_rung(rungs, memory.acked_weight)
    else:
        rung = find_first_rung(rungs, first_weight(memory))
    return draft.remember(replace(memory, approved_weight=rung.weight))


def _promote(draft: Draft, _action: Action, by: str) -> Draft:
    """Go to 100% now, also where `pause` held it: what was asked last is what is wanted."""
    return draft.remember(replace(draft.memory, unjudged=f"promote by {by}", paused=False))


def _skip(draft: Draft, _action: Action, by: str) -> Draft:
    """End the step that every proxy has in force, and people saw.

    Where the next weight is written already, by this skip before a crash or by the evidence, that
    step is over, and the next one keeps its own.
    """
    memory = draft.memory
    if memory.stage is Stage.SHADOWING:
        return draft.remember(end_early(memory, f"skipped by {by}"))
    before = f"{memory.skipped}, " if memory.skipped else ""
    skipped = f"{before}{memory.acked_weight}% skipped by {by}"
    if len(skipped) > LONGEST_SKIPPED:
        skipped = before[:LONGEST_SKIPPED]
    return draft.remember(replace(memory, skipped_weight=memory.acked_weight, skipped=skipped))


def _abort(draft: Draft, _action: Action, by: str) -> Draft:
    cause = f"aborted by {by}"
    if draft.candidate:
        return draft.remember(replace(draft.memory, outcome=Outcome.ABORTED, cause=cause))
    released = draft.having(replace(draft.decision, hold=None))
    return draft.having(replace(draft.decision, hold=hold_after_withdrawal(released, cause)))


def _rollback(draft: Draft, action: Action, by: str) -> Draft:
    if action.argument is None or action.argument == draft.stable:
        return _abort(draft, action, by)
    return ask_back(draft, action.argument, by)


def _pause(draft: Draft, _action: Action, _by: str) -> Draft:
    return draft.remember(replace(draft.memory, paused=True))


def _resume(draft: Draft, _action: Action, _by: str) -> Draft:
    return draft.remember(replace(draft.memory, paused=False))


def _retry(draft: Draft, _action: Action, _by: str) -> Draft:
    wanted = draft.facts.wanted.name if draft.facts.wanted else None
    rejected = tuple(it for it in draft.decision.rejected if it.revision != wanted)
    draft = forget_back_off(draft.remember(replace(draft.memory, retry_at=None)))
    draft = draft.having(replace(draft.decision, hold=None, rejected=rejected))
    if can_look_again(draft):
        draft = ask_for_look(draft)
    return replace(draft, is_retried=True)


EFFECTS: dict[str, Callable[[Draft, Action, str], Draft]] = {
    "approve": _approve,
    "promote": _promote,
    "skip": _skip,
    "abort": _abort,
    "rollback": _rollback,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
}
