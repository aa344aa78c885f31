"""Records what the command line's tests look at: ``python -m tests.unit.cli.record``.

The operator's real passes write the objects, in the memory cluster of the reconcile tests: they
are what users get. The screens are made of them, in files and in pages of docs. Read the difference
before you commit it: `test_recordings.py` only says that something differs.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from slipway.api import kinds
from slipway.api.times import to_wire

from tests.fakes.pairs import FakeComparer, Order
from tests.unit.cli.recordings import (
    RECORDED,
    SCREENS,
    page_with_screens,
    recording,
    screens_of_pages,
)
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

GOLDEN: dict[str, Any] = {"goldenSet": {"uri": "https://models.example/golden.tar"}}
STEPS = {"steps": [{"weight": 10, "holdSeconds": 60}, {"weight": 50, "approval": "Required"}]}
Story = Callable[[OperatorWorld], Awaitable[None]]


async def served(world: OperatorWorld, version: str = "1") -> None:
    await world.ask_for(version)
    await world.until(lambda: world.serving() == version)
    await world.live(90)


async def idle(world: OperatorWorld) -> None:
    await served(world)


async def packaging(world: OperatorWorld) -> None:
    await served(world)
    await world.ask_for("2", model={"source": {"uri": "https://models.example/2.onnx"}})
    await world.until(lambda: world.stage() == "Packaging")


async def starting(world: OperatorWorld) -> None:
    await served(world)
    world.controllers.faults["2"] = "never-ready"
    await world.ask_for("2")
    await world.until(lambda: world.stage() == "Starting")
    await world.live(20)


async def checking(world: OperatorWorld) -> None:
    await served(world)
    await world.ask_for("2", model=GOLDEN)
    await world.until(lambda: world.stage() == "Checking")


async def shadowing(world: OperatorWorld) -> None:
    await served(world)
    world.pairs.comparers = {
        pod["status"]["podIP"]: FakeComparer(pod["metadata"]["name"])
        for pod in world.controllers.proxies(NAMESPACE)
    }
    await world.ask_for("2", rollout={"shadow": {"mode": "On"}}, model=GOLDEN)
    await world.until(lambda: world.stage() == "Shadowing")
    status = world.find(kinds.MODEL_DEPLOYMENT)["status"]
    stable, candidate = status["stable"]["revision"], status["candidate"]["revision"]
    for comparer in world.pairs.comparers.values():
        comparer.at = world.clock.now()
        comparer.give(Order("digits", stable, candidate, to_wire(comparer.at)))
        comparer.compare(40, both=1, differing=1)
    await world.live(20)


async def progressing(world: OperatorWorld) -> None:
    await served(world)
    await world.ask_for("2", rollout=STEPS, model=GOLDEN)
    await world.until(lambda: world.stage() == "Progressing" and world.weights().get("2") == 10)
    await world.live(40)


async def awaiting_approval(world: OperatorWorld) -> None:
    await served(world)
    await world.ask_for("2", rollout=STEPS)
    await world.until(lambda: world.stage() == "AwaitingApproval")
    await world.live(40)


async def paused(world: OperatorWorld) -> None:
    await served(world)
    await world.ask_for("2")
    await world.until(lambda: world.weights().get("2") == 10)
    await world.act("pause")
    await world.until(lambda: world.stage() == "Paused")
    await world.live(60)


async def paused_in_a_hold(world: OperatorWorld) -> None:
    await progressing(world)
    await world.act("pause")
    await world.live(60)


async def baking(world: OperatorWorld) -> None:
    await served(world)
    await world.ask_for("2", rollout={"bakeSeconds": 600})
    await world.until(lambda: world.stage() == "Baking")
    await world.live(100)


async def rolling_back(world: OperatorWorld) -> None:
    await served(world)
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.until(lambda: world.stage() == "RollingBack")


async def rejected(world: OperatorWorld) -> None:
    await served(world)
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.until(lambda: world.outcomes()[-1][1] == "RolledBack")
    await world.live(120)


async def rejected_by_golden_set(world: OperatorWorld) -> None:
    await served(world)
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", model=GOLDEN)
    await world.until(lambda: world.outcomes()[-1][1] == "RejectedByGoldenSet")


async def failed(world: OperatorWorld) -> None:
    await served(world)
    world.controllers.faults["2"] = "never-ready"
    await world.ask_for("2", rollout={"deadlineSeconds": 60})
    await world.until(lambda: world.stage() == "Failed")


async def held(world: OperatorWorld) -> None:
    await progressing(world)
    await world.act("abort", reason="answers to user 7 look wrong")
    await world.until(lambda: world.stage() == "Idle")


async def twice(world: OperatorWorld) -> None:
    await served(world)
    await served(world, "2")


STORIES: dict[str, Story] = {
    "idle": idle,
    "packaging": packaging,
    "starting": starting,
    "checking": checking,
    "shadowing": shadowing,
    "progressing": progressing,
    "awaiting-approval": awaiting_approval,
    "paused": paused,
    "paused-in-a-hold": paused_in_a_hold,
    "baking": baking,
    "rolling-back": rolling_back,
    "rejected": rejected,
    "rejected-by-golden-set": rejected_by_golden_set,
    "failed": failed,
    "held": held,
    "twice": twice,
}


async def record_story(story: Story) -> dict[str, Any]:
    """Return the object at the end of a story, and the time then."""
    world = OperatorWorld()

    await story(world)

    found = world.find(kinds.MODEL_DEPLOYMENT)
    found["metadata"].pop("managedFields", None)
    for metric in found["status"].get("rollout", {}).get("analysis", ()):
        metric.pop("state", None)  # opaque numbers, whose last digits depend on the machine
    return {"now": world.clock.now().isoformat(), "object": found}


def main() -> None:
    for name, story in STORIES.items():
        recorded = asyncio.run(record_story(story))
        text = json.dumps(recorded, indent=1, ensure_ascii=False, sort_keys=True)
        (RECORDED / f"{name}.json").write_text(text + "\n")
        (SCREENS / f"{name}.txt").write_text(recording(name).screen())
        print(f"recorded {name}")

    for page, screens in screens_of_pages().items():
        page.write_text(page_with_screens(page.read_text(), screens))


if __name__ == "__main__":
    main()
