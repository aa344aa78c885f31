"""From an earlier release to this one and back, with what must not change on the way."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from slipway.api.names import (
    ANNOTATION_AGENT,
    COMPONENT_ROUTER,
    COMPONENT_SERVER,
    DEPRECATED_VERSION,
    LABEL_COMPONENT,
    ROUTER_NAME,
)

from tests.demo.report import describe_causes
from tests.e2e.audit import AuditLog, Write
from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed
from tests.e2e.operators import LEASE_TIMES, Operators
from tests.e2e.quiet import settle
from tests.e2e.unchanged import Versions, leaving, versions
from tests.install import helm, release
from tests.install.earlier import Earlier
from tests.kubectl import CLONE, CLUSTER, Kubectl, Manifest, until
from tests.load.record import Totals

NAMESPACE = "slipway-upgrade"
MOVING = "slipway-upgrade-moving"
"""What is under way is elsewhere: there the operator has something to write."""
NEW = "slipway-upgrade-new"
"""Empty until this release is there: its routers have the agent of this release."""
PLACES = (NAMESPACE, MOVING, NEW)
ROUTERS_SECONDS = 420.0
"""A router pod may go on for two minutes, or five in earlier builds, with what is in flight."""
HELM_SECONDS = "5m"
PLUGIN_SECONDS = 300.0
SENT_AFTERWARDS = 50
"""Requests of each client after the end of a leg that must be answered too."""
ANSWERS_SECONDS = 60.0


@dataclass(frozen=True)
class FreshKubectl(Kubectl):
    """kubectl with a cache of what the API serves that can be forgotten.

    It would ask by a version that is served no more until the cache is ten minutes old.
    """

    cache: Path = Path()

    def command(self, *words: str) -> list[str]:
        """Return the command line."""
        return [*Kubectl.command(self, *words), f"--cache-dir={self.cache}"]

    def forget(self) -> None:
        """Ask the API server anew from here on."""
        shutil.rmtree(self.cache, ignore_errors=True)


@dataclass(slots=True)
class Leg:
    """A part of the way, and what it cost."""

    name: str
    seconds: float = 0.0
    totals: Totals = field(default_factory=Totals)
    slowest_millis: float = 0.0
    """The worst 99th percentile that a client saw in any second."""
    load_average: float = 0.0
    """Of the machine, over a minute, at the end."""
    writes: list[Write] = field(default_factory=list)
    """By the operator, in the namespace in which nothing is under way."""
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = (
            f"{self.name}: {self.seconds:.0f} s, {self.totals.sent:,} requests,"
            f" {self.totals.lost} lost, {self.totals.failed_by_model} failed by the model,"
            f" slowest p99 {self.slowest_millis:.0f} ms, {len(self.writes)} writes,"
            f" load average {self.load_average:.1f}"
        )
        return "\n".join([shown, *(f"  {note}" for note in self.notes)])


@dataclass(slots=True)
class Journey:
    """The release on the cluster, its models, and clients that send all the while."""

    earlier: Earlier
    kubectl: FreshKubectl
    operators: Operators
    audit: AuditLog
    stack: ExitStack
    """Ends what is started on the way."""
    models: dict[str, Deployed] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    helm_revision: int = 0
    """Of the earlier release, as `helm history` counts."""

    # ── the release ────────────────────────────────────────────────────────────────────────────

    def install_earlier(self) -> None:
        """Install the earlier release with its chart and images, over whatever CRDs are there."""
        values = {**self.earlier.values(), **LEASE_TIMES}
        words = ("--create-namespace", "--take-ownership", "--force-conflicts")
        release.upgrade(values, *words, chart=self.earlier.chart, timeout=HELM_SECONDS)
        self.helm_revision = helm_revisions()[-1]
        self._arrived()

    def upgrade(self) -> None:
        """Upgrade to the chart and the images of this tree, as docs/install.md says."""
        values = release.cluster_values(release.images(), release.registry())
        del values["router"]["agentImage"]
        release.upgrade({**values, **LEASE_TIMES}, timeout=HELM_SECONDS)
        self._arrived()

    def roll_back(self) -> None:
        """Bring the earlier release back, as people do."""
        helm.run(
            *("rollback", helm.RELEASE, str(self.helm_revision)),
            *("--namespace", helm.NAMESPACE, "--wait", "--timeout", HELM_SECONDS),
            kubeconfig=release.KUBECONFIG,
        )
        self._arrived()

    def plugin(self, *words: str, of: Path = CLONE) -> str:
        """Run kubectl-slipway of this tree or another, and return what it said on both streams."""
        done = subprocess.run(
            [sys.executable, "-m", "slipway.cli", *words],
            env={
                **os.environ,
                "PATH": f"{CLUSTER / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(of / "operator"),
                "KUBECONFIG": str(self.kubectl.kubeconfig),
                "KUBECACHEDIR": str(self.kubectl.cache),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PLUGIN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _arrived(self) -> None:
        self.kubectl.forget()
        self.operators.wait_ready()
        self.operators.wait_for_leader()

    # ── what must not change ───────────────────────────────────────────────────────────────────

    @contextmanager
    def leg(self, name: str) -> Iterator[Leg]:
        """Measure a part of the way, in which no client may lose a request.

        Raises:
            AssertionError: one did; with what it saw.

        """
        leg, began, mark = Leg(name), time.time(), self.audit.mark()
        self.legs.append(leg)
        before = {id(client): client.load.total for client in self.clients}
        try:
            yield leg
            self._answered_on()
        finally:
            leg.seconds = time.time() - began
            leg.load_average = os.getloadavg()[0]
            leg.writes = self.writes(mark)
            lost = self._count(leg, before, began)
        assert not lost, "; ".join(lost)

    def _answered_on(self) -> None:
        sent = [client.load.total.sent for client in self.clients]

        def all_went_on() -> bool:
            now = [client.load.total.sent for client in self.clients]
            return all(b - a >= SENT_AFTERWARDS for a, b in zip(sent, now, strict=True))

        until(all_went_on, "answers to every client", ANSWERS_SECONDS)

    def _count(self, leg: Leg, before: Mapping[int, Totals], began: float) -> list[str]:
        lost = []
        for client in self.clients:
            since = client.load.total.minus(before.get(id(client), Totals()))
            records = client.records_since(began)
            leg.totals = leg.totals.plus(since)
            leg.slowest_millis = max([leg.slowest_millis, *(r.p99_millis for r in records)])
            if since.lost:
                seen = describe_causes([record for record in records if record.counts.lost])
                lost.append(f"{client.name} lost {since.lost} of {since.sent}: {seen}")
        leg.notes += lost
        return lost

    def writes(self, mark: int) -> list[Write]:
        """Return what the operator wrote since then where nothing is under way."""
        return [w for w in self.audit.writes_of_operator(mark) if w.namespace == NAMESPACE]

    def rest(self) -> None:
        """Wait until the routers are complete, and nobody leaves or writes any more."""
        settle(self.audit, NAMESPACE)
        for namespace in self.agents():
            words = ("rollout", "status", f"deployment/{ROUTER_NAME}", "-n", namespace)
            seconds = f"--timeout={ROUTERS_SECONDS:.0f}s"
            self.kubectl.run(*words, seconds, seconds=ROUTERS_SECONDS + 10)
        for namespace in (NAMESPACE, NEW):
            until(partial(self._nobody_leaves, namespace), "pods to end", ROUTERS_SECONDS)
        settle(self.audit, NAMESPACE)

    def _nobody_leaves(self, namespace: str) -> bool:
        return not leaving(self.kubectl, namespace)

    def agents(self) -> dict[str, str]:
        """Return the mark of each namespace's routers: which agent they run."""
        found = {n: self.kubectl.get(n, "deployment", ROUTER_NAME) for n in PLACES}
        return {
            name: str(item["metadata"]["annotations"].get(ANNOTATION_AGENT, ""))
            for name, item in found.items()
            if item is not None
        }

    def serving(self) -> dict[str, tuple[str, int]]:
        """Return uid and restarts of every pod that serves a model."""
        return {
            f"{namespace}/{pod['metadata']['name']}": (pod["metadata"]["uid"], restarts(pod))
            for namespace in PLACES
            for pod in self.kubectl.items(
                namespace, "pods", f"{LABEL_COMPONENT}={COMPONENT_SERVER}"
            )
        }

    def crashes(self) -> dict[str, int]:
        """Return the restarts of operator and router pods, where there are any."""
        routers = f"{LABEL_COMPONENT}={COMPONENT_ROUTER}"
        pods = [pod for n in PLACES for pod in self.kubectl.items(n, "pods", routers)]
        found = {p["metadata"]["name"]: restarts(p) for p in [*pods, *self.operators.pods()]}
        return {name: count for name, count in found.items() if count}

    def versions(self) -> Versions:
        """Return the versions of all that is at rest but the routers themselves.

        Of what has a status that is compared by itself or that agents write, the generation counts.
        """
        found = versions(self.kubectl, NAMESPACE)
        return {
            key: ("", version[1]) if key.startswith("Model") else version
            for key, version in found.items()
            if not is_router(key)
        }

    def statuses(self) -> dict[str, Manifest]:
        """Return the status of each model that is at rest."""
        found = self.kubectl.items(NAMESPACE, "modeldeployments")
        return {item["metadata"]["name"]: item["status"] for item in found}

    def known(self, status: Manifest) -> Manifest:
        """Return what the earlier release knows of a status."""
        return self.earlier.known_status(status, DEPRECATED_VERSION)


def helm_revisions() -> list[int]:
    """Return the revisions of the release, the newest last."""
    said = helm.run(
        *("history", helm.RELEASE, "--namespace", helm.NAMESPACE, "--output", "json"),
        kubeconfig=release.KUBECONFIG,
    )
    return [int(each["revision"]) for each in json.loads(said)]


def restarts(pod: Manifest) -> int:
    """Return how often containers of a pod were started again."""
    status = pod["status"]
    both = (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ()))
    return sum(container["restartCount"] for container in both)


def is_router(key: str) -> bool:
    """Tell whether a kind and name belongs to the router, not to a model."""
    return key.partition("/")[2].startswith(ROUTER_NAME)


def beyond(written: list[Write], may_be_said_anew: Iterable[str]) -> list[str]:
    """Return the writes that nothing calls for, in words.

    A router may be replaced, and a status be written once where this release says the same in other
    words.
    """
    once = set(may_be_said_anew)
    found = []
    for write in written:
        if write.name == ROUTER_NAME:
            continue
        if write.resource == "modeldeployments/status" and write.name in once:
            once.remove(write.name)
            continue
        found.append(str(write))
    return found


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two values of JSON: where, before and after; None: absent.

    Items of a list are found by type or name, where they have one.
    """
    if before == after:
        return
    if isinstance(before, list) and isinstance(after, list):
        before, after = by_key(before), by_key(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}")
        return
    yield path, before, after


def by_key(items: list[Any]) -> dict[str, Any]:
    """Return the items of a list by type, name or place."""
    named = [item if isinstance(item, dict) else {} for item in items]
    return {
        str(item.get("type") or item.get("name") or place): items[place]
        for place, item in enumerate(named)
    }


def is_only_said_otherwise(path: str, before: Any, after: Any) -> bool:
    """Tell whether two statuses differ in words alone, or in a field that says nothing."""
    if path.endswith(".message"):
        return bool(before) and bool(after)
    return not before and not after
