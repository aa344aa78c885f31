"""Room for pods: what the real scheduler and quotas say, how it is read, and what plan says."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from slipway.adapters.connection import Connection
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, POD
from slipway.api.names import COMPONENT_SERVER, common_labels
from slipway.cli.room import forecast_room, requests_of
from slipway.policy.container_evidence import why_not_ready
from slipway.policy.facts import Facts, PodFact, WorkloadFact
from slipway.policy.room import find_shortage
from slipway.reconcile.projections import project_object

from tests.builders import a_model_deployment, facts_about

pytestmark = pytest.mark.cluster

GPU = "example.com/gpu"
JSON_PATCH = "application/json-patch+json"
REVISION = "0123abcd"
LATE_SECONDS = 90.0
PRE_EMPTS = "PreemptLowerPriority"


@dataclass(frozen=True)
class Case:
    """Replicas that want one accelerator each, on a node that has some."""

    accelerators: int
    replicas: int
    quota: int | None = None
    """Accelerators that the namespace may have."""
    pod: tuple[tuple[str, Any], ...] = ()
    """More of the pod's spec."""
    placed: int = 0
    shortage: str | None = None
    """What is read as missing; None: no room is what is missing."""
    why: str = ""
    """What else is said."""


CASES = {
    "enough": Case(2, 2, placed=2),
    "one too few": Case(
        1,
        2,
        placed=1,
        shortage=f"1 of 2 replicas do not fit: 0/1 nodes are available: 1 Insufficient {GPU}",
    ),
    "none": Case(
        0,
        4,
        shortage=f"4 of 4 replicas do not fit: 0/1 nodes are available: 1 Insufficient {GPU}",
    ),
    "a quota": Case(4, 2, quota=1, placed=1, shortage="exceeded quota: accelerators"),
    "no such node": Case(
        2, 2, pod=(("nodeSelector", {"example.com/none": "x"}),), why="didn't match"
    ),
}


async def send(connection: Connection, method: str, path: str, body: Any, **how: Any) -> None:
    answer = await connection.request(method, path, body=body, **how)
    assert answer.is_success, answer.body


async def list_items(connection: Connection, path: str) -> list[Manifest]:
    answer = await connection.request("GET", path)
    assert answer.is_success, answer.body
    return list(answer.json()["items"])


async def provide(connection: Connection, accelerators: int) -> None:
    """Let the only node have so many accelerators, and wait until no pod holds any."""
    nodes = await list_items(connection, "/api/v1/nodes")
    patch = [
        {
            "op": "add",
            "path": f"/status/{part}/{GPU.replace('/', '~1')}",
            "value": str(accelerators),
        }
        for part in ("capacity", "allocatable")
    ]
    path = f"/api/v1/nodes/{nodes[0]['metadata']['name']}/status"
    await send(connection, "PATCH", path, patch, content_type=JSON_PATCH)

    async def is_free() -> bool:
        pods = await list_items(connection, "/api/v1/pods")
        return not any(requests_of(pod["spec"]).get(GPU) for pod in pods)

    await until(is_free)


async def limit(connection: Connection, namespace: str, accelerators: int) -> None:
    """Give the namespace a quota, and wait until it is in force."""
    path, name = f"/api/v1/namespaces/{namespace}/resourcequotas", f"requests.{GPU}"
    quota = {"metadata": {"name": "accelerators"}, "spec": {"hard": {name: str(accelerators)}}}
    await send(connection, "POST", path, quota)

    async def is_in_force() -> bool:
        return "hard" in (await list_items(connection, path))[0].get("status", {})

    await until(is_in_force)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so.

    Raises:
        TimeoutError: it is not in time.

    """
    async with asyncio.timeout(LATE_SECONDS):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.1)


def a_deployment(namespace: str, case: Case, name: str = "digits") -> Manifest:
    labels = common_labels(name, COMPONENT_SERVER, REVISION)
    container = {
        "name": "triton",
        "image": "registry.invalid/none:1",
        "resources": {"requests": {"cpu": "1m"}, "limits": {GPU: "1"}},
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, **dict(case.pod)}
    return DEPLOYMENT.manifest(
        namespace,
        name,
        metadata={"labels": labels},
        spec={
            "replicas": case.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    )


async def observe(connection: Connection, namespace: str) -> Facts:
    """Return the facts that the operator would have."""
    pods = await list_items(connection, POD.path(namespace))
    found = [project_object(POD, pod) for pod in pods]
    answer = await connection.request("GET", DEPLOYMENT.path(namespace, "digits"))
    workload = project_object(DEPLOYMENT, answer.json())
    assert isinstance(workload, WorkloadFact)
    facts = facts_about(a_model_deployment(), workloads={REVISION: workload})
    return replace(facts, pods={REVISION: tuple(it for it in found if isinstance(it, PodFact))})


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_is_missing_is_read_as_the_scheduler_says_it_and_plan_agrees(
    connection: Connection, namespace: str, case: Case
) -> None:
    await provide(connection, case.accelerators)
    if case.quota is not None:
        await limit(connection, namespace, case.quota)
    nodes = await list_items(connection, "/api/v1/nodes")
    running = await list_items(connection, "/api/v1/pods")
    quotas = await list_items(connection, f"/api/v1/namespaces/{namespace}/resourcequotas")
    manifest = a_deployment(namespace, case)
    pod = manifest["spec"]["template"]["spec"]
    assert forecast_room(pod, case.replicas, nodes, running, quotas)[0] == case.placed

    await send(connection, "POST", DEPLOYMENT.path(namespace), manifest)

    async def has_spoken() -> bool:
        return is_decided(await observe(connection, namespace), case)

    await until(has_spoken)
    facts = await observe(connection, namespace)
    said = find_shortage(facts, REVISION)
    if case.shortage is None:
        assert said is None
    else:
        assert said is not None
        assert case.shortage in said
    assert case.why in why_not_ready(facts, REVISION).message


def is_decided(facts: Facts, case: Case) -> bool:
    """Tell whether the scheduler, or the quota, has said something about every replica."""
    pods, workload = facts.pods[REVISION], facts.workloads[REVISION]
    if case.quota is not None:
        return workload.failure is not None
    refused = sum(pod.unschedulable is not None for pod in pods)
    return len(pods) == case.replicas and refused == case.replicas - case.placed


async def test_room_that_a_higher_priority_makes_is_no_shortage(
    connection: Connection, namespace: str
) -> None:
    await provide(connection, 1)
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    urgent = {"metadata": {"name": namespace}, "value": 1000, "preemptionPolicy": PRE_EMPTS}
    await send(connection, "POST", classes, urgent)
    try:
        taken = Case(1, 1)
        await send(
            connection, "POST", DEPLOYMENT.path(namespace), a_deployment(namespace, taken, "other")
        )

        async def is_full() -> bool:
            pods = await list_items(connection, POD.path(namespace))
            return any(pod["spec"].get("nodeName") for pod in pods)

        await until(is_full)
        high = Case(1, 1, pod=(("priorityClassName", namespace),))
        await send(connection, "POST", DEPLOYMENT.path(namespace), a_deployment(namespace, high))

        async def has_place() -> bool:
            pods = await list_items(connection, POD.path(namespace))
            mine = [it for it in pods if it["spec"].get("priorityClassName") == namespace]
            return any(pod["spec"].get("nodeName") for pod in mine)

        await until(has_place)
        pods = await list_items(connection, POD.path(namespace))
        others = [it for it in pods if it["spec"].get("priorityClassName") != namespace]
        assert not any(it["spec"].get("nodeName") for it in others if is_alive(it))
    finally:
        await connection.request("DELETE", f"{classes}/{namespace}")


def is_alive(pod: Manifest) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Pending"
