"""A Swap: two revisions in the places of one."""

import random
from typing import Any

import pytest
from slipway.api.modeldeployment import Outcome, Stage
from slipway.policy.decision import Decision
from slipway.policy.rollout.swapping import ONLY_PLACE

from tests.unit.policy.world import DecisionWorld

GOLDEN = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}
VERBS = ("abort", "retry", "pause", "resume", "approve", "promote", "skip", "rollback")


class CrowdedWorld(DecisionWorld):
    """A world with few places; it watches what each pass takes away from users."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lowest: list[int] = []
        """Ready replicas after each pass that took one away which had traffic."""

    @property
    def replicas(self) -> int:
        return self.md.spec.scaling.min_replicas

    def reconcile(self, **how: Any) -> Decision:
        serving = {name for name in self.workloads if self._serves(name)}
        before = {name: state.ready for name, state in self.workloads.items()}
        decision = super().reconcile(**how)

        after = {name: state.ready for name, state in self.workloads.items()}
        taken = sum(before[name] - after.get(name, 0) for name in serving & before.keys())
        if taken > 0:
            left = sum(after.values())
            self.lowest.append(left)
            assert taken == 1, ("two at once", self.log[-9:])
            assert left >= self.replicas - 1 - self.taken, ("below the floor", self.log[-9:])
        return decision

    def _serves(self, name: str) -> bool:
        weights = [known for _, known, _ in self.acked.values()] + [self.weights or {}]
        return any(known.get(name, 0) for known in weights)


def crowded(
    replicas: int,
    *,
    capacity: str = "Swap",
    seed: int = 1,
    places: int | None = None,
    gap: str = "Accepted",
) -> CrowdedWorld:
    standing = {
        "scaling": {"minReplicas": replicas},
        "rollout": {"capacity": capacity, "allowGap": gap},
    }
    world = CrowdedWorld(seed, standing=standing, places=places or replicas)
    world.ask_for("1")
    world.settle(60)
    assert world.serving() == "1", world.log
    return world


def replicas_of(world: DecisionWorld) -> dict[str, int]:
    return {
        world.versions[name]: state.wanted
        for name, state in world.workloads.items()
        if state.wanted
    }


def pass_time(world: DecisionWorld, seconds: int) -> None:
    for _ in range(seconds):
        world.advance()
        world.reconcile()


def message_of(world: DecisionWorld, condition: str) -> str:
    return next(it.message for it in world.md.status.conditions if it.type == condition)


@pytest.mark.parametrize("capacity", ["Swap", "Auto"])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 8])
def test_a_good_version_takes_every_place_and_at_most_one_is_empty(
    replicas: int, capacity: str
) -> None:
    world = crowded(replicas, capacity=capacity)
    world.ask_for("2")
    world.settle(600)

    assert world.serving() == "2", world.log[-9:]
    assert replicas_of(world) == {"2": replicas}
    assert min(world.lowest) == replicas - 1
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.capacity is None


def test_a_candidate_gets_what_its_replicas_carry_and_is_judged_before_more_go_over() -> None:
    world = crowded(4)
    world.ask_for("2")
    world.settle(600)

    shares = [weights.get("2", 0) for weights in world.written_weights()[3:]]
    assert shares == [5, 10, 25, 33, 50, 66, 75, 100, 100]
    assert world.md.status.history[-1].unjudged is None


@pytest.mark.parametrize(
    ("places", "swaps", "lowest"), [(4, True, 3), (5, True, 4), (7, True, 4), (8, False, 4)]
)
def test_auto_swaps_only_where_there_is_no_room_and_a_spare_place_keeps_all_replicas(
    places: int, swaps: bool, lowest: int
) -> None:
    world = crowded(4, capacity="Auto", places=places)
    world.ask_for("2")
    world.settle(600)

    assert world.serving() == "2"
    assert replicas_of(world) == {"2": 4}
    assert any("swapping" in line for line in world.log) == swaps
    assert min(world.lowest, default=4) == lowest


def test_a_surge_without_room_says_what_is_missing_and_takes_nothing() -> None:
    world = crowded(2, capacity="Surge")
    world.ask_for("2")
    world.settle(60)

    assert replicas_of(world) == {"1": 2, "2": 2}
    assert world.serving() == "1"
    said = message_of(world, "CapacityReady")
    assert "2 of 2 replicas do not fit: 0/1 nodes are available: 1 Insufficient" in said
    assert said.endswith("rollout.capacity Auto or Swap needs no room beside stable's")


def test_the_floor_is_declared_before_a_replica_goes() -> None:
    world = crowded(4)
    world.ask_for("2")
    before = None
    while replicas_of(world)["1"] == 4:
        world.advance()
        before = world.md.status.rollout
        world.reconcile()

    assert before is not None
    assert before.capacity is not None
    assert (before.capacity.floor, before.capacity.places) == (3, 4)
    assert "at least 3 of 4 stay ready" in message_of(world, "CapacityReady")


def test_a_swap_says_until_its_end_what_found_no_room() -> None:
    world = crowded(4, capacity="Auto")
    world.ask_for("2")
    said: set[str] = set()
    while world.serving() != "2":
        world.advance()
        world.reconcile()
        swaps = world.md.status.rollout is not None and world.md.status.rollout.capacity is not None
        said |= {message_of(world, "CapacityReady")} if swaps else set()

    assert any(text.startswith("all replicas of every live revision are ready") for text in said)
    assert {text.count("replicas do not fit: 0/1 nodes") for text in said} == {1}
    assert any("; swapping, because 4 of 4 replicas do not fit" in text for text in said)


def test_no_replica_goes_while_a_person_holds_the_rollout() -> None:
    world = crowded(2)
    world.act("pause")
    world.ask_for("2")
    world.settle(100)
    assert replicas_of(world) == {"1": 2}
    assert "no replica goes before the pause ends" in message_of(world, "Ready")

    world.act("resume")
    world.settle(600)
    assert replicas_of(world) == {"2": 2}


def test_the_only_replica_is_not_swapped_unless_a_gap_is_accepted() -> None:
    world = crowded(1, gap="Refused")
    world.ask_for("2")
    world.settle(100)

    assert world.serving() == "1"
    assert replicas_of(world) == {"1": 1}
    assert "rollout.allowGap" in message_of(world, "Stalled")


def test_a_gap_is_announced_and_measured() -> None:
    world = crowded(1)
    world.ask_for("2")
    told, said = [], set()
    for _ in range(120):
        world.advance()
        told += [event.message for event in world.reconcile().events]
        said |= {it.message for it in world.md.status.conditions if it.type == "CapacityReady"}

    in_gap = [text for text in said if text.startswith("nothing answers since 2")]
    assert any(": 0 of 1 ready; " in text for text in in_gap), said
    assert all(text.endswith("; at least 0 of 1 stay ready") for text in in_gap), said

    assert "swapping the only replica: nothing answers until the new one is ready" in told
    assert any(text.startswith("requests are answered again after a gap of ") for text in told)
    assert world.md.status.history[-1].unjudged == ONLY_PLACE


def test_a_gap_ends_with_the_old_version_where_the_new_one_does_not_start_in_time() -> None:
    world = crowded(1)
    world.faults["2"] = "never-ready"
    world.ask_for("2")
    pass_time(world, 700)

    assert world.serving() == "1"
    assert replicas_of(world) == {"1": 1}
    assert world.outcomes()[-1] == ("2", Outcome.ABORTED)
    assert world.md.status.hold is not None, "a second gap is somebody's wish"


@pytest.mark.parametrize("fault", ["errors", "crash"])
@pytest.mark.parametrize("at", [5, 25, 50, 75])
def test_a_roll_back_gives_every_place_back(fault: str, at: int) -> None:
    world = crowded(4)
    world.ask_for("2", rollout={"bakeSeconds": 600})
    while (world.weights or {}).get(named(world, "2"), 0) < at:
        world.advance()
        world.reconcile()
    world.faults["2"] = fault
    world.settle(900)

    assert world.outcomes()[-1] == ("2", Outcome.ROLLED_BACK)
    assert replicas_of(world) == {"1": 4}
    last = world.md.status.last_rollback
    assert last is not None
    assert last.capacity_restored_at is not None


def named(world: DecisionWorld, version: str) -> str:
    return next((name for name, known in world.versions.items() if known == version), "")


def test_stable_gets_no_more_traffic_back_than_its_replicas_carry() -> None:
    world = crowded(4)
    world.ask_for("2", rollout={"bakeSeconds": 600})
    while (world.weights or {}).get(named(world, "2"), 0) < 75:
        world.advance()
        world.reconcile()
    world.act("abort")
    world.settle(300)

    back = [weights.get("1", 0) for weights in world.written_weights()]
    assert back[back.index(25) :] == [25, 34, 67, 100, 100]
    assert replicas_of(world) == {"1": 4}


def test_a_candidate_that_fails_most_requests_loses_them_at_once() -> None:
    world = crowded(4)
    world.ask_for("2", rollout={"bakeSeconds": 600})
    while (world.weights or {}).get(named(world, "2"), 0) < 75:
        world.advance()
        world.reconcile()
    world.workloads[named(world, "2")].ready = 0
    world.faults["2"] = "never-ready"
    world.act("abort")
    world.settle(300)

    back = [weights.get("1", 0) for weights in world.written_weights()]
    assert back[back.index(25) :] == [25, 100, 100]


def test_a_place_that_somebody_takes_stops_the_swap_until_it_is_back() -> None:
    world = crowded(4)
    world.ask_for("2", rollout={"bakeSeconds": 600})
    while (world.weights or {}).get(named(world, "2"), 0) < 25:
        world.advance()
        world.reconcile()
    world.lose_place()
    world.settle(100)
    assert sum(state.ready for state in world.workloads.values()) == 3
    assert "no replica goes before all of stable's are ready" in message_of(world, "Ready") or (
        "unschedulable" in message_of(world, "Ready")
    )

    world.taken = 0
    world.settle(900)
    assert world.serving() == "2"


def half_way(world: CrowdedWorld) -> str:
    """Let version 2 have half of four places and of the traffic; return its revision."""
    world.ask_for("2", rollout={"bakeSeconds": 600})
    while (world.weights or {}).get(named(world, "2"), 0) < 50:
        world.advance()
        world.reconcile()
    return named(world, "2")


def test_a_roll_back_does_not_wait_for_a_place_of_the_candidate_that_somebody_took() -> None:
    world = crowded(4)
    candidate = world.workloads[half_way(world)]
    candidate.placed, candidate.ready = 1, 1
    world.taken = 1
    world.act("abort")
    world.settle(300)

    assert world.serving() == "1", world.log[-9:]
    assert replicas_of(world) == {"1": 4}
    assert sum(state.ready for state in world.workloads.values()) == 3

    world.taken = 0
    world.settle(300)
    assert sum(state.ready for state in world.workloads.values()) == 4


def test_a_roll_back_does_not_wait_for_a_replica_of_the_candidate_that_never_is_ready() -> None:
    world = crowded(4)
    candidate = world.workloads[half_way(world)]
    candidate.ready = 1
    world.faults["2"] = "never-ready"
    world.act("abort")
    world.settle(300)

    assert world.serving() == "1", world.log[-9:]
    assert replicas_of(world) == {"1": 4}
    assert sum(state.ready for state in world.workloads.values()) == 4


def test_a_place_that_nobody_can_take_is_given_back() -> None:
    world = crowded(2)
    world.ask_for("2")
    while replicas_of(world).get("1") == 2:
        world.advance()
        world.reconcile()
    world.taken = 1
    pass_time(world, 70)
    assert world.outcomes()[-1] == ("2", Outcome.FAILED_TO_START)
    assert replicas_of(world) == {"1": 2}


@pytest.mark.parametrize("seed", range(30))
def test_a_random_walk_in_few_places_keeps_the_floor_and_ends_with_all_of_them(seed: int) -> None:
    chance = random.Random(seed)
    replicas = chance.choice((1, 2, 3, 4))
    world = crowded(
        replicas,
        capacity=chance.choice(("Swap", "Auto")),
        seed=seed,
        places=replicas + chance.choice((0, 0, 1)),
    )
    version = 1
    for _ in range(chance.randint(60, 200)):
        world.advance(chance.choice((0.2, 1, 1, 5)))
        world.reconcile(kill_after=chance.choice((None, None, 0, 1, 2, 3)))
        draw = chance.random()
        if draw < 0.03:
            version += 1
            world.faults[str(version)] = chance.choice(("", "", "", "errors", "golden", "crash"))
            world.ask_for(str(version), **(GOLDEN if chance.random() < 0.3 else {}))
        elif draw < 0.05:
            world.act(chance.choice(VERBS))
        elif draw < 0.055:
            world.lose_status()
        elif draw < 0.07:
            world.lose_place()
        elif draw < 0.12 and world.taken:
            world.taken -= 1

    world.taken = 0
    world.faults.clear()
    for state in world.workloads.values():
        state.exits = 0
    world.act("resume")
    world.settle(10)
    world.act("retry")
    world.settle(900)

    assert world.serving() == world.md.spec.model.version, world.log[-15:]
    assert replicas_of(world) == {world.md.spec.model.version: replicas}, world.log[-15:]
    before = world.writes
    world.settle(60)
    assert world.writes == before, ("writes at rest", world.log[-5:])
    assert world.stage() == Stage.IDLE
