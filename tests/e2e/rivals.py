"""The same pods without Slipway: behind a Service, in a Deployment or in a Rollout of Argo's."""

import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from slipway.api.names import (
    CLIENT_GRPC_PORT,
    CLIENT_HTTP_PORT,
    TRITON_GRPC_PORT,
    TRITON_HTTP_PORT,
)

from tests.e2e.objects import NAMESPACE
from tests.e2e.places import RESOURCE
from tests.kubectl import Kubectl, Manifest, until

NAME = "rival"
LABEL = "app"
STUCK_SECONDS = 90
"""Without progress for so long, both say that they are stuck."""
ENOUGH_SECONDS = 240.0
DEPLOYMENT, ROLLOUT = "deployments.apps", "rollouts.argoproj.io"
NO_SURGE: Manifest = {"maxSurge": 0, "maxUnavailable": 1}
STEPS: list[Manifest] = [
    {"setWeight": 25},
    {"pause": {"duration": "5s"}},
    {"setWeight": 50},
    {"pause": {"duration": "5s"}},
]
"""Those that the models of these tests have."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A controller that replaces pods of one version by pods of another."""

    what: str
    """In words."""
    kind: str
    limits: Manifest = field(default_factory=lambda: dict(NO_SURGE))
    """maxSurge and maxUnavailable; empty: the defaults."""
    waits_for_clients: bool = True
    """Whether its pods end as Slipway's do, which wait for their clients; else at SIGTERM."""

    def __str__(self) -> str:
        """Return what it is, in words."""
        return self.what

    def manifest(self, template: Manifest, replicas: int) -> Manifest:
        """Return the object that asks for a version's pods."""
        made = copy.deepcopy(template)
        if not self.waits_for_clients:
            for container in made["spec"]["containers"]:
                container.pop("lifecycle", None)

        is_argo = self.kind == ROLLOUT
        rolling = {"type": "RollingUpdate", "rollingUpdate": self.limits}
        canary = {"canary": {"steps": STEPS, **self.limits}}

        return {
            "apiVersion": "argoproj.io/v1alpha1" if is_argo else "apps/v1",
            "kind": "Rollout" if is_argo else "Deployment",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {LABEL: NAME}},
            "spec": {
                "replicas": replicas,
                "progressDeadlineSeconds": STUCK_SECONDS,
                "selector": {"matchLabels": {LABEL: NAME}},
                "strategy": canary if is_argo else rolling,
                "template": made,
            },
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """A rival that serves."""

    kubectl: Kubectl
    rival: Rival
    templates: Mapping[str, Manifest]
    """By version."""
    replicas: int

    def roll_out(self, version: str) -> float | None:
        """Return the seconds until a version has all replicas; None: it says that it is stuck."""
        began = time.monotonic()
        self.kubectl.apply_server_side(self.rival.manifest(self.templates[version], self.replicas))

        def is_over() -> bool:
            may_be_stuck = time.monotonic() - began >= STUCK_SECONDS  # or it was, one version ago
            return self._is_done() or (may_be_stuck and self._is_stuck())

        until(is_over, self.rival.what, ENOUGH_SECONDS)
        return time.monotonic() - began if self._is_done() else None

    def _is_done(self) -> bool:
        found = self._found()
        spec, status = found["spec"], found.get("status", {})
        is_seen = str(status.get("observedGeneration")) == str(found["metadata"]["generation"])
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        is_whole = all(status.get(count) == spec["replicas"] for count in counts)
        return is_seen and is_whole and status.get("phase", "Healthy") == "Healthy"

    def _is_stuck(self) -> bool:
        found = self._found()
        status = found.get("status", {})
        is_seen = str(status.get("observedGeneration")) == str(found["metadata"]["generation"])
        reasons = {each.get("reason") for each in status.get("conditions") or ()}
        return is_seen and "ProgressDeadlineExceeded" in reasons

    def _found(self) -> Manifest:
        return self.kubectl.get(NAMESPACE, self.rival.kind, NAME) or {}


@contextmanager
def standing(
    kubectl: Kubectl, rival: Rival, templates: Mapping[str, Manifest], replicas: int
) -> Iterator[Standing]:
    """Serve version 1 while the body runs."""
    kubectl.apply(render_service())
    stands = Standing(kubectl, rival, templates, replicas)
    try:
        assert stands.roll_out("1") is not None
        yield stands
    finally:
        words = ("delete", rival.kind, NAME, "-n", NAMESPACE, "--ignore-not-found")
        kubectl.run(*words)
        mine = f"{LABEL}={NAME}"
        until(lambda: not kubectl.items(NAMESPACE, "pods", mine), "free places", ENOUGH_SECONDS)


def template_of(deployment: Manifest) -> Manifest:
    """Return the pods of a revision's Deployment, with other labels and an accelerator each."""
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    for container in spec["containers"]:
        limits = container["resources"].get("limits", {})
        container["resources"] |= {"limits": {**limits, RESOURCE: "1"}}
    return {"metadata": {"labels": {LABEL: NAME}}, "spec": spec}


def render_service() -> Manifest:
    """Return the Service that clients of a rival ask."""
    ports = [
        {"name": "http", "port": CLIENT_HTTP_PORT, "targetPort": TRITON_HTTP_PORT},
        {"name": "grpc", "port": CLIENT_GRPC_PORT, "targetPort": TRITON_GRPC_PORT},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"selector": {LABEL: NAME}, "ports": ports},
    }
