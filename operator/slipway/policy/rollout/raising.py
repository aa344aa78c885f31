"""Raising the candidate's weight, once every guard agrees."""

from collections.abc import Sequence
from dataclasses import replace

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason
from slipway.policy.ladder import Rung
from slipway.policy.proxies import name_all_proxies
from slipway.policy.rollout.acknowledgement import await_proxies
from slipway.policy.rollout.bake_alarm import remember_before
from slipway.policy.rollout.draft import IN_TRAFFIC, Draft, Held
from slipway.policy.rollout.guards import (
    Guard,
    ask_guards,
    guards_before_weight,
    guards_in_gap,
    guards_within_bake,
)


def raise_weight(draft: Draft, rung: Rung) -> Draft:
    """Write the weight of a rung, if nothing stands against it."""
    return _raise(draft, rung, guards_before_weight(rung))


def raise_within_bake(draft: Draft, rung: Rung) -> Draft:
    """Write the next weight of the bake: whoever has a say was asked before it began."""
    return _raise(draft, rung, guards_within_bake(rung))


def raise_in_gap(draft: Draft, rung: Rung) -> Draft:
    """Write the weight of a candidate where nobody is answered meanwhile."""
    return _raise(draft, rung, guards_in_gap(rung))


def _raise(draft: Draft, rung: Rung, guards: Sequence[Guard]) -> Draft:
    # A bake that goes straight to 100% stays a bake: another input waits until it is over.
    stage = draft.memory.stage if draft.memory.stage in IN_TRAFFIC else Stage.PROGRESSING
    draft = draft.enter(stage, Reason.PROGRESSING, "")
    answer = ask_guards(guards, draft)
    if isinstance(answer, Held):
        return answer.draft

    draft = remember_before(answer.draft, rung)
    draft = draft.remember(replace(draft.memory, waits_since=None))
    weights = dict.fromkeys(draft.decision.weights, 0) | {draft.candidate: rung.weight}
    if draft.stable is not None:
        weights[draft.stable] = 100 - rung.weight
    draft = await_proxies(draft, rung.weight, name_all_proxies(draft.facts))
    return draft.route(weights)
