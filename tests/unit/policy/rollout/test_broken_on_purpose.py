"""What a suite must catch: the switch, broken on purpose in the ways that lose requests."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from slipway.policy.rollout import capacity, gap, guards, progressing, settle, starting
from slipway.policy.rollout.draft import Agreed, Answer, Draft

from tests.unit.policy.rollout.history import RecordedWorld

Break = Callable[[pytest.MonkeyPatch], None]


def roll_out(strategy: str, replicas: int = 3) -> RecordedWorld:
    """Promote version 1, then roll version 2 out; every moment is checked."""
    rollout = {"strategy": strategy, "bakeSeconds": 30}
    world = RecordedWorld(
        1,
        standing={"rollout": rollout, "scaling": {"minReplicas": replicas}},
        keeps_way_back=strategy == "BlueGreen",
        replicas=replicas,
    )
    for version in ("1", "2"):
        world.ask_for(version)
        for _ in range(150):
            world.advance()
            world.reconcile()
    return world


def kill_old_at_the_shift(patch: pytest.MonkeyPatch) -> None:
    def broken(facts: Any, roles: Any, now: Any) -> dict[str, int]:
        found = capacity.desired_replicas(facts, roles, now)
        has_all = facts.written_weight(roles.candidate) == 100
        return found | ({roles.stable: 0} if has_all and roles.stable else {})

    patch.setattr(settle, "desired_replicas", broken)


def kill_old_in_the_same_pass(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, replicas: Mapping[str, int]) -> dict[str, int]:
        gives = draft.decision.weights.get(draft.candidate, 0) == 100
        return dict(replicas) | ({draft.stable: 0} if gives and draft.stable else {})

    patch.setattr(settle, "keep_apart", broken)


def shift_before_ready(patch: pytest.MonkeyPatch) -> None:
    def agree(draft: Draft, _weight: int) -> Answer:
        return Agreed(draft)

    patch.setattr(guards, "has_capacity", agree)
    patch.setattr(starting, "start_needs", lambda *_: 1)


def route_before_endpoints(patch: pytest.MonkeyPatch) -> None:
    """The switch is written for a candidate that no proxy has been told of yet."""

    def agree(draft: Draft) -> Answer:
        return Agreed(draft)

    def at_once(draft: Draft) -> Draft:
        return progressing.progress(draft)

    patch.setattr(progressing, "weight_is_in_force", agree)
    patch.setattr(guards, "has_capacity", lambda draft, _weight: Agreed(draft))
    patch.setattr("slipway.policy.rollout.decide.start", at_once)
    patch.setattr("slipway.policy.rollout.idle.start", at_once)


def start_new_beside_old(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "keep_apart", lambda _draft, replicas: dict(replicas))


def stop_old_under_traffic(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, replicas: Mapping[str, int]) -> dict[str, int]:
        found = gap.keep_apart(draft, replicas)
        return found | ({draft.stable: 0} if draft.memory.recreate and draft.stable else {})

    patch.setattr(settle, "keep_apart", broken)


def empty_the_route_unannounced(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, recreate: Any) -> Draft:
        opened = gap.open_gap(draft, recreate)
        return opened.remember(replace(opened.memory, recreate=recreate))

    patch.setattr("slipway.policy.rollout.recreating.open_gap", broken)
    patch.setattr(settle, "empty_weights", lambda draft: not draft.decision.weights)
    patch.setattr(settle, "has_given_way", lambda _draft: True)


@pytest.mark.parametrize("strategy", ["BlueGreen", "Recreate"])
def test_as_it_is_it_keeps_every_promise(strategy: str) -> None:
    assert roll_out(strategy).serving() == "2"


@pytest.mark.parametrize(
    ("strategy", "breaks", "promise"),
    [
        ("BlueGreen", kill_old_at_the_shift, "I2|I3|I10"),
        ("BlueGreen", kill_old_in_the_same_pass, "I2|I3"),
        ("BlueGreen", shift_before_ready, "I1|I2"),
        ("BlueGreen", route_before_endpoints, "I1|I2"),
        ("Recreate", shift_before_ready, "I1|I2"),
        ("Recreate", start_new_beside_old, "I12"),
        ("Recreate", stop_old_under_traffic, "I2|I3"),
        ("Recreate", empty_the_route_unannounced, "I11"),
    ],
)
def test_what_is_broken_on_purpose_is_caught(
    strategy: str, breaks: Break, promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    with pytest.raises(AssertionError, match=f"({promise}):"):
        roll_out(strategy)
