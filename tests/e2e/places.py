"""Accelerators that the test puts on the node, and what is ready on them at every moment."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from slipway.api.names import LABEL_OWNER

from tests.e2e.objects import SMALL
from tests.kubectl import Kubectl, Manifest, until

RESOURCE = "example.com/gpu"
POINTER = "example.com~1gpu"
ACCELERATED: Manifest = {"resources": {**SMALL, "limits": {RESOURCE: "1"}}}
"""spec.server of a model whose replicas take one each."""
NO_SUCH_PATH = 30.0


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


@dataclass(slots=True)
class ReadyHistory:
    """Ready replicas of all revisions of a model, at every change, as the API server told them."""

    kubectl: Kubectl
    namespace: str
    name: str
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
        words = ("get", "deployments", "-n", self.namespace, "-l", f"{LABEL_OWNER}={self.name}")
        command = self.kubectl.command(*words, "--watch", "-o", f"jsonpath={path}")
        known = self.kubectl.items(self.namespace, "deployments", f"{LABEL_OWNER}={self.name}")
        ready = {it["metadata"]["name"]: it["status"].get("readyReplicas", 0) for it in known}
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
