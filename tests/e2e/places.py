"""Accelerators that the test puts on the node, who takes them, and what is ready on them."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus
from slipway.api.names import CLIENT_GRPC_PORT, CLIENT_HTTP_PORT, LABEL_OWNER

from tests.e2e.audit import AuditLog
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow, end_of
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, SMALL, Model
from tests.e2e.promises import kept
from tests.install import release
from tests.kubectl import POD_SECURITY, RESTRICTED, Kubectl, Manifest, until
from tests.load.plan import GRPC_WIRES, Wire
from tests.load.record import Totals

RESOURCE = "example.com/gpu"
POINTER = "example.com~1gpu"
ACCELERATED: Manifest = {"resources": {**SMALL, "limits": {RESOURCE: "1"}}}
"""spec.server of a model whose replicas take one each."""
NO_SUCH_PATH = 30.0
ROLLOUT_SECONDS = 300.0
RATES = {Wire.HTTP: 25.0, Wire.GRPC: 12.5}
"""Requests per second for each replica: the others carry those of one that is swapped, and Triton's
queue (256) has room for what comes while the machine has no time for the only other one."""
URGENT = "slipway-e2e-urgent"
"""A PriorityClass, and the pod that has it."""


@dataclass(frozen=True, slots=True)
class Accelerators:
    """The node's accelerators: an extended resource, which kubelet and scheduler count as real."""

    kubectl: Kubectl

    def provide(self, number: int) -> None:
        """Let the node have so many of them, and wait until it may give them to pods."""
        patch = [
            {"op": "add", "path": f"/status/{part}/{POINTER}", "value": str(number)}
            for part in ("capacity", "allocatable")
        ]
        words = ("patch", "node", self.node, "--subresource=status", "--type=json")
        self.kubectl.run(*words, "-p", json.dumps(patch))
        until(lambda: self.allocatable == number, f"{number} accelerators", NO_SUCH_PATH)

    @property
    def node(self) -> str:
        """Name of the node."""
        return self.kubectl.run("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")

    @property
    def allocatable(self) -> int:
        """Accelerators that the scheduler sees."""
        path = "jsonpath={.items[0].status.allocatable.example\\.com/gpu}"
        return int(self.kubectl.run("get", "nodes", "-o", path) or 0)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let the node take no pods, as one that is being lost; those that run stay."""
        self.kubectl.run("cordon", self.node)
        try:
            yield
        finally:
            self.kubectl.run("uncordon", self.node)

    @contextmanager
    def pre_empted(self) -> Iterator[None]:
        """Let a pod of a higher priority have one of them while the body runs."""
        self.kubectl.apply(*render_urgent(release.images().operator))
        try:
            self.kubectl.wait(NAMESPACE, f"pod/{URGENT}", "condition=Ready", NO_SUCH_PATH)
            yield
        finally:
            words = ("delete", "pod", URGENT, "-n", NAMESPACE, "--ignore-not-found")
            self.kubectl.run(*words)


@dataclass(slots=True)
class ReadyHistory:
    """Ready replicas of all revisions of a model, at every change, as the API server told them."""

    kubectl: Kubectl
    namespace: str
    name: str
    kind: str = "deployments"
    label: str = LABEL_OWNER
    """Of the objects that have the replicas; its value is the name."""
    totals: list[tuple[float, int]] = field(default_factory=list)
    """Unix time, and ready replicas from then on."""
    asked: list[int] = field(default_factory=list)
    """Replicas that all revisions together were asked to have."""

    @property
    def lowest(self) -> int:
        """The fewest replicas that were ready at any moment."""
        return min(total for _, total in self.totals)

    @contextmanager
    def recorded(self) -> Iterator["ReadyHistory"]:
        """Follow the Deployments while the body runs."""
        path = '{.metadata.name}{" "}{.spec.replicas}{" "}{.status.readyReplicas}{"\\n"}'
        words = ("get", self.kind, "-n", self.namespace, "-l", f"{self.label}={self.name}")
        command = self.kubectl.command(*words, "--watch", "-o", f"jsonpath={path}")
        known = self.kubectl.items(self.namespace, self.kind, f"{self.label}={self.name}")
        ready = {
            it["metadata"]["name"]: it.get("status", {}).get("readyReplicas", 0) for it in known
        }
        asked = {it["metadata"]["name"]: it["spec"]["replicas"] for it in known}

        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
            follower = threading.Thread(target=self._follow, args=(stream, asked, ready))
            follower.start()
            try:
                yield self
            finally:
                stream.terminate()
                follower.join()

    def _follow(
        self, stream: subprocess.Popen[str], asked: dict[str, int], ready: dict[str, int]
    ) -> None:
        for line in stream.stdout or ():
            name, *numbers = line.split()
            asked[name] = int(numbers[0]) if numbers else 0
            ready[name] = int(numbers[1]) if len(numbers) > 1 else 0
            self.totals.append((time.time(), sum(ready.values())))
            self.asked.append(sum(asked.values()))


def scarce_model(name: str, version: str, replicas: int, **more: Any) -> Model:
    """Return a version of a model whose replicas take an accelerator each.

    More of its spec.rollout is `rollout`; without it replicas are swapped where there is no room.
    """
    rollout = {"capacity": "Auto", "allowGap": "Accepted", **more.pop("rollout", {})}
    return Model(
        name=name,
        version=version,
        file=f"digits-{version[:1]}.onnx",
        scaling={"minReplicas": replicas},
        rollout=rollout,
        **{"server": ACCELERATED, **more},
    )


@dataclass(frozen=True, slots=True)
class Scarcity:
    """What a test of scarce accelerators has at hand."""

    kubectl: Kubectl
    follow: Follow
    start_load: StartLoad
    figures: Figures
    audit: AuditLog | None

    @property
    def accelerators(self) -> Accelerators:
        """Those of the node."""
        return Accelerators(self.kubectl)

    @contextmanager
    def serving(self, model: Model) -> Iterator[Deployed]:
        """Serve a model on all accelerators that there are, and keep its promises meanwhile."""
        replicas = (model.scaling or {})["minReplicas"]
        self.accelerators.provide(replicas)
        deployed = self.follow(model.name)
        try:
            deployed.apply(model)
            arrives(deployed, model.version)
            with kept(self.kubectl, deployed, self.audit):
                yield deployed
        finally:
            words = ("delete", "modeldeployment", model.name, "-n", NAMESPACE, "--ignore-not-found")
            self.kubectl.run(*words)
            self.wait_for_places(f"{LABEL_OWNER}={model.name}")

    def wait_for_places(self, selector: str) -> None:
        """Wait until nothing is left of pods that are told to go."""
        look = self.kubectl.items
        until(lambda: not look(NAMESPACE, "pods", selector), "free places", ROLLOUT_SECONDS)

    @contextmanager
    def watched_by(self, *plans: Plan) -> Iterator[list[Client]]:
        """Ask for answers at a steady rate while the body runs."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.start_load(plan)) for plan in plans]

    @contextmanager
    def asking(self, *plans: Plan) -> Iterator[list[Client]]:
        """Ask for answers at a steady rate while the body runs; none may be lost."""
        with self.watched_by(*plans) as clients, ExitStack() as stack:
            for client in clients:
                stack.enter_context(client.loses_nothing())
            yield clients


def arrives(deployed: Deployed, version: str, seconds: float = ROLLOUT_SECONDS) -> float:
    """Wait until a version serves and nothing is under way; return the seconds that it took."""
    began = time.monotonic()

    def is_there(status: ModelDeploymentStatus) -> bool:
        serves = status.stable is not None and status.stable.version == version
        return serves and end_of(status, version) is not None

    deployed.wait_for(is_there, f"version {version} in service", seconds)
    return time.monotonic() - began


def has_all_again(history: ReadyHistory, replicas: int) -> None:
    """Wait until every replica is ready, and no more are asked for."""
    until(lambda: history.totals[-1][1] == replicas, "all replicas", ROLLOUT_SECONDS)
    until(lambda: history.asked[-1] == replicas, "all of one version", ROLLOUT_SECONDS)


def message_of(status: ModelDeploymentStatus, kind: ConditionType) -> str:
    """Return what a condition says; empty without it."""
    return next((it.message for it in status.conditions if it.type == kind), "")


def plans_for(name: str, host: str, replicas: int) -> list[Plan]:
    """Return the plans of clients that ask a model at a host, over both protocols."""
    return [
        Plan(
            name,
            wire=wire,
            rate=rate * replicas,
            suffix=f"-{wire.lower()}",
            address=f"{host}:{CLIENT_GRPC_PORT if wire in GRPC_WIRES else CLIENT_HTTP_PORT}",
        )
        for wire, rate in RATES.items()
    ]


def total_of(clients: Sequence[Client]) -> Totals:
    """Return what all of them counted."""
    return reduce(Totals.plus, (client.load.total for client in clients))


def render_urgent(image: str) -> list[Manifest]:
    """Return a PriorityClass above that of every model, and a pod of it that takes a place."""
    container = {
        "name": "urgent",
        "image": image,
        "command": ["python", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {RESOURCE: "1"}},
        "securityContext": RESTRICTED,
    }

    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": URGENT},
            "value": 1_000_000,
            "description": "Of a test: takes places from models.",
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": URGENT, "namespace": NAMESPACE},
            "spec": {
                "priorityClassName": URGENT,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 2,
                "securityContext": POD_SECURITY,
                "containers": [container],
            },
        },
    ]
