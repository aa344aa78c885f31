"""ModelDeployments as the real passes leave them in every stage, recorded in a world in memory."""

import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.errors import (
    AdmissionDenied,
    ClusterUnavailable,
    Forbidden,
    SlipwayError,
    SpecError,
    WebhookUnavailable,
)

from tests.fakes.api import Change
from tests.fakes.cluster import Trouble, Write
from tests.fakes.pairs import FakeComparer
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

APPROVAL: Manifest = {"steps": [{"weight": 10, "approval": "Required"}]}
GOLDEN: Manifest = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}
IMAGE: Manifest = {"packaging": {"mode": "Image", "repository": "registry.example/digits"}}

QUOTA = "exceeded quota: count/deployments.apps, requested 1, used 0, limited 0"
NO_RIGHT = 'services is forbidden: User "slipway" cannot create resource "services"'
NO_WEBHOOK = 'failed calling webhook "w": service "absent" not found'
NO_STORE = "etcdserver: leader changed"


@dataclass
class Recorder:
    """A world, and every state in which a ModelDeployment was stored."""

    world: OperatorWorld = field(default_factory=OperatorWorld)
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


async def promoted(world: OperatorWorld) -> None:
    await world.ask_for("1")
    await world.settle()


async def a_first_version(world: OperatorWorld) -> None:
    await world.ask_for("1", **IMAGE)
    await world.settle()


async def a_good_version(world: OperatorWorld) -> None:
    await promoted(world)
    await world.ask_for("2", **GOLDEN)
    await world.settle()


async def a_version_that_answers_copies_first(world: OperatorWorld) -> None:
    await promoted(world)
    world.pairs.comparers = {
        pod["status"]["podIP"]: FakeComparer(pod["metadata"]["name"])
        for pod in world.controllers.proxies(NAMESPACE)
    }
    await world.ask_for("2", rollout={"shadow": {"mode": "On"}})
    await world.until(lambda: world.stage() == "Shadowing")
    await world.live(30)


async def a_version_with_errors(world: OperatorWorld) -> None:
    await promoted(world)
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.settle()


async def a_version_that_fails_its_golden_set(world: OperatorWorld) -> None:
    await promoted(world)
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", **GOLDEN)
    await world.settle()


async def a_version_that_does_not_start(world: OperatorWorld) -> None:
    await promoted(world)
    world.controllers.faults["2"] = "never-ready"
    await world.ask_for("2", rollout={"deadlineSeconds": 120}, server={"startSeconds": 60})
    await world.live(300)


async def a_version_that_awaits_approval(world: OperatorWorld) -> None:
    await promoted(world)
    await world.ask_for("2", rollout=APPROVAL)
    await world.until(lambda: world.stage() == "AwaitingApproval")


async def a_version_that_is_paused(world: OperatorWorld) -> None:
    await promoted(world)
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: world.stage() == "Progressing")
    await world.act("pause")
    await world.until(lambda: world.stage() == "Paused")


async def a_version_that_was_aborted(world: OperatorWorld) -> None:
    await promoted(world)
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: world.stage() == "Progressing")
    await world.act("abort")
    await world.settle()


async def a_foreign_object_in_the_way(world: OperatorWorld) -> None:
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {},
    }
    world.api.create(service, manager="somebody")
    await world.ask_for("1")
    await world.live(60)


class Refuses(Trouble):
    """Refuses every write of a kind."""

    def __init__(self, error: SlipwayError, kind: str) -> None:
        self.error, self.kind = error, kind

    def before(self, write: Write) -> None:
        if write.kind == self.kind:
            raise self.error


def refused(error: SlipwayError, kind: str = "Deployment") -> "Story":
    """Return how a first version is refused."""

    async def tell(world: OperatorWorld) -> None:
        world.operator.cluster.trouble = Refuses(error, kind)
        await world.ask_for("1")
        await world.live(60)

    return tell


async def a_right_that_is_taken_while_a_version_serves(world: OperatorWorld) -> None:
    await promoted(world)
    world.operator.cluster.trouble = Refuses(Forbidden(NO_RIGHT), "Service")
    world.delete(kinds.SERVICE)
    await world.live(60)


async def a_rejected_version_and_no_webhook(world: OperatorWorld) -> None:
    await a_version_with_errors(world)
    world.operator.cluster.trouble = Refuses(WebhookUnavailable(NO_WEBHOOK), "Service")
    world.delete(kinds.SERVICE)
    await world.live(60)


async def a_hook_of_another_namespace(world: OperatorWorld) -> None:
    await promoted(world)
    hook = {"name": "gate", "stage": "Step", "webhook": {"url": "http://gate.other.svc/ask"}}
    await world.ask_for("2", rollout={"analysis": {"hooks": [hook]}})
    await world.live(60)


Story = Callable[[OperatorWorld], Awaitable[None]]
STORIES: dict[str, tuple[Story, str, str]] = {
    "a version that answers copies first": (
        a_version_that_answers_copies_first,
        "InProgress",
        "Progressing",
    ),
    "a first version": (a_first_version, "Current", "Healthy"),
    "a good version": (a_good_version, "Current", "Healthy"),
    "a version with errors": (a_version_with_errors, "Failed", "Degraded"),
    "a golden set that fails": (a_version_that_fails_its_golden_set, "Failed", "Degraded"),
    "a version that does not start": (a_version_that_does_not_start, "InProgress", "Progressing"),
    "an approval": (a_version_that_awaits_approval, "InProgress", "Suspended"),
    "a pause": (a_version_that_is_paused, "InProgress", "Suspended"),
    "an abort": (a_version_that_was_aborted, "Failed", "Degraded"),
    "a foreign object": (a_foreign_object_in_the_way, "Failed", "Degraded"),
    "a quota": (refused(AdmissionDenied(QUOTA)), "Failed", "Degraded"),
    "a field": (refused(SpecError("spec.x", "Invalid value")), "Failed", "Degraded"),
    "a hook elsewhere": (a_hook_of_another_namespace, "Failed", "Degraded"),
    "a webhook away": (refused(WebhookUnavailable(NO_WEBHOOK)), "InProgress", "Progressing"),
    "no right": (refused(Forbidden(NO_RIGHT)), "InProgress", "Progressing"),
    "a server that fails": (refused(ClusterUnavailable(NO_STORE)), "InProgress", "Progressing"),
    "a right taken": (a_right_that_is_taken_while_a_version_serves, "InProgress", "Progressing"),
    "rejected, and no webhook": (a_rejected_version_and_no_webhook, "Failed", "Degraded"),
}
"""What happens, and what kstatus and Argo CD should say at its end."""


async def record(story: Story) -> Recorder:
    recorder = Recorder()
    await story(recorder.world)
    return recorder
