"""Whatever ends or is replaced, no client of any kind loses a request.

`make drains` runs it, and prints what each kind of client sent and lost in each event.
`SLIPWAY_DRAINS_DOWN_SECONDS` is how long the operator is away while pods churn (600).
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from slipway.api.modeldeployment import Outcome
from slipway.api.names import (
    COMPONENT_ROUTER,
    COMPONENT_SERVER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    ROUTER_NAME,
)

from tests.cluster.process import ProcessIdentity, kill_process
from tests.e2e.clients import StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.drains import LASTING, SIZED, Clients, clients_of_all_kinds
from tests.e2e.objects import NAMESPACE, Model, step
from tests.e2e.operators import VALUES, Operators, is_ready, processes_of
from tests.images.registry import under_another_digest
from tests.install import release
from tests.kubectl import Kubectl, KubectlError, Manifest, until

pytestmark = [pytest.mark.e2e, pytest.mark.drains]

ROUTERS = f"{LABEL_COMPONENT}={COMPONENT_ROUTER}"
DOWN_SECONDS = float(os.environ.get("SLIPWAY_DRAINS_DOWN_SECONDS", "600"))
SHORT_STOP_SECONDS = 10.0
GONE_SECONDS = 400.0
"""Beyond the grace period of a router pod."""


@pytest.fixture(scope="module")
def models(follow: Follow, kubectl: Kubectl) -> Iterator[dict[str, Deployed]]:
    """Both models with version 1 in service, on two pods each."""
    found = {name: follow(name) for name in (SIZED, LASTING)}
    for name, deployed in found.items():
        deployed.apply(a_version(name, "1"))
    for deployed in found.values():
        deployed.wait_for_end("1", 400)
    yield found
    for name in found:
        kubectl.run("delete", "modeldeployment", name, "-n", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def clients(models: dict[str, Deployed], start_load: StartLoad) -> Iterator[Clients]:
    """All kinds of clients, from the first event to the last."""
    assert models.keys() == {SIZED, LASTING}
    with clients_of_all_kinds(start_load) as running:
        yield running
        print(f"\n{running.table()}")


def a_version(name: str, version: str) -> Model:
    """Return a version whose requests may take a little longer than those of the clients."""
    return Model(
        name=name,
        version=version,
        file=f"{name}.tar.gz",
        mode="Fetch",
        warm_up=0,
        scaling={"minReplicas": 2, "maxReplicas": 2},
        server={"drainSeconds": 75},
        steps=[step(50)],
    )


def test_router_pods_that_are_rolled_lose_nothing(clients: Clients, kubectl: Kubectl) -> None:
    event = "router pods are rolled"
    with clients.through(event):
        before = names_of(kubectl, ROUTERS)
        kubectl.run("rollout", "restart", f"deployment/{ROUTER_NAME}", "-n", NAMESPACE)
        until_replaced(kubectl, ROUTERS, before)
    assert clients.lost(event) == {}


def test_an_envoy_that_is_upgraded_loses_nothing(clients: Clients, kubectl: Kubectl) -> None:
    event = "Envoy is upgraded"
    with clients.through(event), other_envoy():
        before = names_of(kubectl, ROUTERS)
        until_replaced(kubectl, ROUTERS, before)
    assert clients.lost(event) == {}


def test_a_node_that_is_drained_takes_one_router_pod_at_a_time_and_loses_nothing(
    clients: Clients, kubectl: Kubectl
) -> None:
    event = "router pods are evicted"
    with clients.through(event):
        before = names_of(kubectl, ROUTERS)
        assert evict(kubectl, before[0])
        assert not evict(kubectl, before[1]), "the budget keeps one pod ready"
        until(lambda: evict(kubectl, before[1]), "another ready pod", 120)
        until_replaced(kubectl, ROUTERS, before)
    assert clients.lost(event) == {}


def test_agents_that_are_killed_lose_nothing(clients: Clients, kubectl: Kubectl) -> None:
    event = "agents are killed"
    with clients.through(event):
        for pod in ready_pods(kubectl, ROUTERS):
            [agent] = processes_of(pod["metadata"]["uid"], b"agent")
            assert kill_process(agent)
            until(lambda pod=pod: is_back(kubectl, pod, "agent"), "the agent", 120)  # type: ignore[misc]
    assert clients.lost(event) == {}


@pytest.mark.parametrize("name", [SIZED, LASTING])
def test_a_triton_pod_that_is_deleted_loses_nothing(
    clients: Clients, kubectl: Kubectl, name: str
) -> None:
    event = f"a Triton pod of {name} is deleted"
    with clients.through(event):
        delete_one(kubectl, servers_of(name))
    assert clients.lost(event) == {}


def test_a_promotion_lets_all_that_is_in_flight_end(
    clients: Clients, models: dict[str, Deployed]
) -> None:
    event = "both models are promoted"
    with clients.through(event):
        for name, deployed in models.items():
            deployed.apply(a_version(name, "2"))
        for deployed in models.values():
            assert deployed.wait_for_end("2", 900).outcome is Outcome.PROMOTED
    assert clients.lost(event) == {}


def test_pods_that_churn_while_the_operator_is_away_lose_nothing(
    clients: Clients, kubectl: Kubectl, operators: Operators
) -> None:
    event = f"pods churn, the operator is away for {DOWN_SECONDS:.0f} s"
    with clients.through(event):
        operators.scale(0)
        end = time.monotonic() + DOWN_SECONDS
        while time.monotonic() < end:
            for selector in (servers_of(SIZED), ROUTERS, servers_of(LASTING)):
                delete_one(kubectl, selector)
        operators.scale(2)
    assert clients.lost(event) == {}


def test_a_router_pod_that_stands_still_for_a_while_loses_nothing(
    clients: Clients, kubectl: Kubectl
) -> None:
    event = f"a router pod stands still for {SHORT_STOP_SECONDS:.0f} s"
    with clients.through(event):
        [pod, *_] = ready_pods(kubectl, ROUTERS)
        with stopped(processes_in(pod)):
            time.sleep(SHORT_STOP_SECONDS)  # the event itself
        until(lambda: len(ready_pods(kubectl, ROUTERS)) == 2, "both router pods", 120)
    assert clients.lost(event) == {}


def test_a_router_pod_that_stands_still_for_good_costs_what_was_in_it(
    clients: Clients, kubectl: Kubectl
) -> None:
    event = "a router pod stands still for good"
    with clients.through(event):
        [pod, *_] = ready_pods(kubectl, ROUTERS)
        began = time.time()
        with stopped(processes_in(pod)):
            until(lambda: not is_ready_now(kubectl, pod), "it to be out of service", 60)
            print(f"no new connection after {time.time() - began:.0f} s")
            until(lambda: is_back(kubectl, pod, "envoy"), "its Envoy to be ended", 120)
            print(f"its Envoy was ended after {time.time() - began:.0f} s")
        until(lambda: len(ready_pods(kubectl, ROUTERS)) == 2, "both router pods", 120)
    over = time.time()
    with clients.through("after it"):
        until(lambda: time.time() > over + 10, "some requests", 60)
    assert clients.lost("after it") == {}


# ── what is done to pods ──


def servers_of(name: str) -> str:
    return f"{LABEL_COMPONENT}={COMPONENT_SERVER},{LABEL_OWNER}={name}"


def ready_pods(kubectl: Kubectl, selector: str) -> list[Manifest]:
    """Return the pods that are ready and that nobody is deleting."""
    pods = kubectl.items(NAMESPACE, "pods", selector)
    return [pod for pod in pods if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]


def names_of(kubectl: Kubectl, selector: str) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in ready_pods(kubectl, selector))


def until_replaced(kubectl: Kubectl, selector: str, before: list[str]) -> None:
    """Wait until none of these pods is left, and as many others are ready."""

    def is_over() -> bool:
        pods = kubectl.items(NAMESPACE, "pods", selector)
        names = {pod["metadata"]["name"] for pod in pods}
        return names.isdisjoint(before) and len(pods) == len(before) and all(map(is_ready, pods))

    until(is_over, f"others in the place of {', '.join(before)}", GONE_SECONDS)


def delete_one(kubectl: Kubectl, selector: str) -> None:
    """Delete one of two, and wait until it is gone and another one is ready."""
    before = names_of(kubectl, selector)
    kubectl.run("delete", "pod", before[0], "-n", NAMESPACE, "--wait=false")

    def is_over() -> bool:
        pods = kubectl.items(NAMESPACE, "pods", selector)
        names = {pod["metadata"]["name"] for pod in pods}
        return before[0] not in names and len(pods) == len(before) and all(map(is_ready, pods))

    until(is_over, f"another pod in the place of {before[0]}", GONE_SECONDS)


def evict(kubectl: Kubectl, pod: str) -> bool:
    """Ask as a drain of the node does; return whether the budget allowed it."""
    asked = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    try:
        kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(asked))
    except KubectlError as error:
        if "disruption budget" not in str(error):
            raise
        return False
    return True


@contextmanager
def other_envoy() -> Iterator[None]:
    """Let routers run Envoy from an image of another digest."""
    images = release.images()
    router = release.cluster_values(images, release.registry())["router"]
    release.up({**VALUES, "router": {**router, "envoyImage": under_another_digest(images.envoy)}})
    yield


def processes_in(pod: Manifest) -> list[ProcessIdentity]:
    """Return Envoy and the agent of a pod, on a node that is this machine."""
    uid = pod["metadata"]["uid"]
    found = [*processes_of(uid, b"agent"), *processes_of(uid, b"--config-path")]
    if not found:
        pytest.skip("the router's processes are on another machine: they cannot be stopped")
    return found


@contextmanager
def stopped(processes: list[ProcessIdentity]) -> Iterator[None]:
    """Let processes stand still while the body runs."""
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            try:
                os.kill(process.pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def is_ready_now(kubectl: Kubectl, pod: Manifest) -> bool:
    live = kubectl.get(NAMESPACE, "pod", pod["metadata"]["name"])
    return live is not None and is_ready(live)


def is_back(kubectl: Kubectl, pod: Manifest, container: str) -> bool:
    """Tell whether a container of the pod runs again, in the place of the one that `pod` had."""
    name = pod["metadata"]["name"]
    live = kubectl.get(NAMESPACE, "pod", name)
    return live is None or _restarts(live, container) > _restarts(pod, container)


def _restarts(pod: Manifest, container: str) -> int:
    status = pod["status"]
    statuses = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return max(
        (
            each["restartCount"]
            for each in statuses
            if each["name"] == container and each["state"].get("running")
        ),
        default=-1,
    )
