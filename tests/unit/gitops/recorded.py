"""ModelDeployments as the real passes leave them in every stage, recorded in a world in memory."""

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from slipway.api import kinds
from slipway.api.base import Manifest

from tests.fakes.api import Change
from tests.unit.reconcile.world import World

APPROVAL: Manifest = {"steps": [{"weight": 10, "approval": "Required"}]}
GOLDEN: Manifest = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}
IMAGE: Manifest = {"packaging": {"mode": "Image", "repository": "registry.example/digits"}}


@dataclass
class Recorder:
    """A world, and every state in which a ModelDeployment was stored."""

    world: World = field(default_factory=World)
    states: list[Manifest] = field(default_factory=list)

    def __post_init__(self) -> None:
        witness = self.world.api.witness

        def record(change: Change) -> None:
            witness(change)
            if change.kind is kinds.MODEL_DEPLOYMENT and change.after is not None:
                self.states.append(copy.deepcopy(change.after))

        self.world.api.witness = record

    @property
    def last(self) -> Manifest:
        return self.states[-1]


async def promoted(world: World) -> None:
    await world.ask_for("1")
    await world.settle()


async def a_first_version(world: World) -> None:
    await world.ask_for("1", **IMAGE)
    await world.settle()


async def a_good_version(world: World) -> None:
    await promoted(world)
    await world.ask_for("2", **GOLDEN)
    await world.settle()


async def a_version_with_errors(world: World) -> None:
    await promoted(world)
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.settle()


async def a_version_that_fails_its_golden_set(world: World) -> None:
    await promoted(world)
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", **GOLDEN)
    await world.settle()


async def a_version_that_does_not_start(world: World) -> None:
    await promoted(world)
    world.controllers.faults["2"] = "never-ready"
    await world.ask_for("2", rollout={"deadlineSeconds": 120}, server={"startSeconds": 60})
    await world.live(300)


async def a_version_that_awaits_approval(world: World) -> None:
    await promoted(world)
    await world.ask_for("2", rollout=APPROVAL)
    await world.until(lambda: world.stage() == "AwaitingApproval")


async def a_version_that_is_paused(world: World) -> None:
    await promoted(world)
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: world.stage() == "Progressing")
    await world.act("pause")
    await world.until(lambda: world.stage() == "Paused")


async def a_version_that_was_aborted(world: World) -> None:
    await promoted(world)
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: world.stage() == "Progressing")
    await world.act("abort")
    await world.settle()


async def a_foreign_object_in_the_way(world: World) -> None:
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {},
    }
    world.api.create(service, manager="somebody")
    await world.ask_for("1")
    await world.live(60)


Story = Callable[[World], Awaitable[None]]
STORIES: dict[str, tuple[Story, str, str]] = {
    "a first version": (a_first_version, "Current", "Healthy"),
    "a good version": (a_good_version, "Current", "Healthy"),
    "a version with errors": (a_version_with_errors, "Failed", "Degraded"),
    "a golden set that fails": (a_version_that_fails_its_golden_set, "Failed", "Degraded"),
    "a version that does not start": (a_version_that_does_not_start, "InProgress", "Progressing"),
    "an approval": (a_version_that_awaits_approval, "InProgress", "Suspended"),
    "a pause": (a_version_that_is_paused, "InProgress", "Suspended"),
    "an abort": (a_version_that_was_aborted, "Failed", "Degraded"),
    "a foreign object": (a_foreign_object_in_the_way, "Failed", "Degraded"),
}
"""What happens, and what kstatus and Argo CD should say at its end."""


async def record(story: Story) -> Recorder:
    recorder = Recorder()
    await story(recorder.world)
    return recorder
