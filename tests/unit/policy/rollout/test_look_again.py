"""A mended file at the same address: looked at again, rolled out as a revision of its own."""

from typing import Any

import pytest
from slipway.api.modeldeployment import Stage

from tests.builders import a_model_deployment
from tests.unit.policy.world import DecisionWorld, lived_once


@lived_once
def a_world(seed: int = 1, **source: Any) -> DecisionWorld:
    """Version 1 serves; version 2 answers errors, and has been rolled back."""
    world = DecisionWorld(seed)
    world.settle()
    assert world.serving() == "1"
    world.faults["2"] = "errors"
    ask_for(world, "2", **source)
    world.settle()
    assert stalled(world) == "RevisionRejected"
    return world


def ask_for(world: DecisionWorld, version: str, **source: Any) -> None:
    uri = f"https://models.example/{version}.onnx"
    world.ask_for(version, model={"source": {"uri": uri, **source}})


def stalled(world: DecisionWorld) -> str:
    return next((it.reason for it in world.md.status.conditions if it.type == "Stalled"), "")


def mend(world: DecisionWorld) -> None:
    world.bytes_ = "mended"
    world.faults.clear()


def names(world: DecisionWorld) -> set[str]:
    return set(world.revisions)


@pytest.mark.parametrize("seed", range(5))
def test_retry_rolls_out_what_lies_there_now(seed: int) -> None:
    world = a_world(seed)
    before = names(world)
    mend(world)

    world.act("retry")
    world.settle()

    [made] = names(world) - before
    assert world.md.status.stable is not None
    assert world.md.status.stable.revision == made
    assert stalled(world) == ""


def test_retry_of_the_same_bytes_makes_no_other_revision() -> None:
    world = a_world()
    before = names(world)
    world.faults.clear()

    world.act("retry")
    world.settle()

    assert names(world) == before
    assert world.serving() == "2"


def test_other_bytes_that_are_no_better_are_rejected_on_their_own() -> None:
    world = a_world()
    world.bytes_ = "other"

    world.act("retry")
    world.settle()

    assert world.serving() == "1"
    assert stalled(world) == "RevisionRejected"


def test_bytes_that_come_back_are_known_again() -> None:
    world = a_world()
    known = names(world)
    world.bytes_ = "other"
    world.act("retry")
    world.settle()
    world.bytes_ = ""
    world.faults.clear()

    world.act("retry")
    world.settle()

    assert world.md.status.stable is not None
    assert world.md.status.stable.revision in known


@pytest.mark.parametrize(
    "source", [{"refresh": "Never"}, {"digest": "sha256:" + "0" * 64}], ids=["never", "pinned"]
)
def test_what_is_frozen_is_not_looked_at(source: dict[str, Any]) -> None:
    world = a_world(**source)
    before = names(world)
    mend(world)

    world.act("retry")
    world.settle()

    assert names(world) == before
    assert world.md.status.source is None


def test_a_status_without_a_look_has_nothing_of_it() -> None:
    world = DecisionWorld(1)
    world.settle()

    assert world.md.status.source is None


class TestInterval:
    @pytest.fixture
    def world(self) -> DecisionWorld:
        source = {
            "uri": "https://models.example/1.onnx",
            "refresh": "Interval",
            "refreshSeconds": 600,
        }
        world = DecisionWorld(1, a_model_deployment(model={"source": source}))
        world.settle()
        assert world.serving() == "1"
        return world

    def test_new_bytes_become_a_rollout_of_their_own(self, world: DecisionWorld) -> None:
        first = names(world)
        world.bytes_ = "newer"

        self.pass_time(world, 1000)

        [made] = names(world) - first
        assert world.md.status.stable is not None
        assert world.md.status.stable.revision == made
        assert {"1": 5} in world.weight_log, "never a silent swap"

    def test_the_same_bytes_change_nothing_that_people_see(self, world: DecisionWorld) -> None:
        first, conditions = names(world), world.md.status.conditions

        self.pass_time(world, 2000)

        assert names(world) == first
        assert world.md.status.conditions == conditions
        assert world.jobs == []

    def test_new_bytes_that_are_worse_are_rolled_back_and_stay_out(
        self, world: DecisionWorld
    ) -> None:
        [first] = names(world)
        world.bytes_ = "worse"
        world.faults["1"] = "golden"
        world.md = world.md.model_copy(
            update={
                "spec": a_model_deployment(
                    model={
                        "source": world.md.spec.model.source.wire(),
                        "goldenSet": {"uri": "https://models.example/golden.tar"},
                    }
                ).spec
            }
        )

        self.pass_time(world, 1000)

        assert world.md.status.stable is not None
        assert world.md.status.stable.revision == first
        assert stalled(world) == "RevisionRejected"
        assert world.stage() == Stage.IDLE

    def test_an_abort_keeps_the_new_bytes_out(self, world: DecisionWorld) -> None:
        [first] = names(world)
        world.bytes_ = "newer"
        for _ in range(2000):
            world.reconcile()
            world.advance()
            if world.md.status.candidate is not None:
                break
        world.act("abort")

        self.pass_time(world, 300)

        assert world.md.status.stable is not None
        assert world.md.status.stable.revision == first
        assert stalled(world) == "Held"

    def pass_time(self, world: DecisionWorld, seconds: int) -> None:
        for _ in range(seconds):
            world.reconcile()
            world.advance()
