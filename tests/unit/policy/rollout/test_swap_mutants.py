"""Swaps that are broken on purpose: the promises that every decision is held against find each."""

from collections.abc import Callable

import pytest
from slipway.policy.facts import Facts
from slipway.policy.rollout import capacity, guards, places, starting, swapping
from slipway.policy.rollout.draft import Agreed, Answer, Draft
from slipway.policy.rollout.roles import Roles

from tests.unit.policy.rollout.test_swap import CrowdedWorld, crowded

take_over = places.Shared.take_over


def kill_old_at_the_shift(patch: pytest.MonkeyPatch) -> None:
    """Stable's pods go when the weight is written, and not when they are drained."""
    patch.setattr(capacity, "is_drained", lambda *_: True)


def shift_before_ready(patch: pytest.MonkeyPatch) -> None:
    """A candidate gets its first weight before it has a ready replica."""
    patch.setattr(starting, "start_needs", lambda *_: 0)
    patch.setattr(swapping, "candidate_needs", lambda *_: 0)


def route_before_endpoints(patch: pytest.MonkeyPatch) -> None:
    """The next weight is written at once, and its replicas come after it."""

    def agree(draft: Draft, weight: int) -> Answer:
        del weight
        return Agreed(draft)

    patch.setattr(guards, "has_capacity", agree)


def swap_two_at_once(patch: pytest.MonkeyPatch) -> None:
    """Where one replica may go, two of them do."""

    def take_two(shared: places.Shared, roles: Roles) -> dict[str, int]:
        found = take_over(shared, roles)
        present = shared.facts.workloads[shared.stable].replicas
        goes = found[shared.stable] < present
        return found | {shared.stable: found[shared.stable] - goes}

    patch.setattr(places.Shared, "take_over", take_two)


def swap_without_waiting(patch: pytest.MonkeyPatch) -> None:
    """The next replica goes before the one before it is ready."""

    def may_leave(shared: places.Shared, name: str, other: str, standing: int) -> bool:
        del other, standing
        return shared.facts.ready(name) > 0

    patch.setattr(places.Shared, "_may_leave", may_leave)


def more_than_there_is(patch: pytest.MonkeyPatch) -> None:
    """The candidate starts before stable has made room."""

    def count(facts: Facts, name: str | None) -> int:
        del facts, name
        return 0

    patch.setattr(places, "count_pods", count)


MUTANTS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    kill_old_at_the_shift: "I3",
    shift_before_ready: "I1",
    route_before_endpoints: "I1",
    swap_two_at_once: "I2",
    swap_without_waiting: "I2",
    more_than_there_is: "I2",
}


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_a_swap_that_is_broken_on_purpose_is_found_before_it_is_written(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    world: CrowdedWorld = crowded(4)
    mutate(monkeypatch)
    world.ask_for("2")
    with pytest.raises(AssertionError, match=MUTANTS[mutate]):
        world.settle(600)
