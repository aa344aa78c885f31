"""Two models behind one router, HTTP and gRPC, a router pod that goes, and no way around them."""

import time
from collections.abc import Iterator

import pytest
from slipway.api.modeldeployment import Outcome, Stage
from slipway.api.names import (
    AGENT_PORT,
    CLIENT_HTTP_PORT,
    COMPONENT_ROUTER,
    COMPONENT_SERVER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    TRITON_GRPC_PORT,
    TRITON_HTTP_PORT,
    TRITON_METRICS_PORT,
)

from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow, promoted
from tests.e2e.objects import HELD, NAMESPACE, Model, step
from tests.kubectl import Kubectl, until
from tests.load.plan import Wire
from tests.models.server import NAME as STRANGER

pytestmark = pytest.mark.e2e

RATE = 20.0
KNOCK = """
import concurrent.futures, socket, sys
def opens(door):
    host, port = door.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True
doors = sys.argv[1:]
with concurrent.futures.ThreadPoolExecutor(len(doors)) as pool:
    print(*(door for door, is_open in zip(doors, pool.map(opens, doors)) if is_open))
"""


@pytest.fixture(scope="module")
def scans(follow: Follow, kubectl: Kubectl) -> Iterator[Deployed]:
    """A second ModelDeployment of the namespace."""
    deployed = follow("scans")
    deployed.apply(Model(name="scans", version="1", file="digits-1.onnx", mode="Fetch"))
    deployed.wait_for_end("1")
    yield deployed
    kubectl.run("delete", "modeldeployment", deployed.name, "-n", NAMESPACE)


@pytest.fixture(scope="module")
def grpc_client(scans: Deployed, start_load: StartLoad) -> Iterator[Client]:
    """A gRPC load on it."""
    with start_load(Plan(scans.name, wire=Wire.GRPC, rate=RATE)) as client:
        yield client


def test_http_and_grpc_reach_their_own_model_through_one_router(
    unharmed: Client, grpc_client: Client, digits: Deployed, scans: Deployed, kubectl: Kubectl
) -> None:
    since = time.time() + 1
    unharmed.sends_on()
    grpc_client.sends_on(rate=RATE)
    assert answered(unharmed, since) == {digits.stable_revision}
    assert answered(grpc_client, since) == {scans.stable_revision}
    ports = {deployed.route()["spec"]["port"] for deployed in (digits, scans)}
    assert len(ports) == 2
    assert len(router_pods(kubectl)) == 2, "one router of two pods serves both"


@pytest.mark.usefixtures("unharmed")
def test_a_router_pod_deleted_in_a_rollout_costs_no_request(
    grpc_client: Client, scans: Deployed, kubectl: Kubectl
) -> None:
    before = router_pods(kubectl)

    with grpc_client.loses_nothing():
        scans.apply(Model(name="scans", version="2", mode="Fetch", steps=[step(50, hold=HELD)]))
        since = time.time()
        status = scans.wait_for_stage(Stage.PROGRESSING, 50)
        gone = before[0]
        kubectl.run("delete", "pod", gone, "-n", NAMESPACE, "--wait=false")
        until(lambda: gone not in router_pods(kubectl), f"pod {gone} to be gone", 90)
        until(lambda: len(router_pods(kubectl)) == 2, "another router pod", 60)
        scans.apply(Model(name="scans", version="2", mode="Fetch", steps=[step(50)]))
        assert scans.wait_for_end("2").outcome is Outcome.PROMOTED

    assert status.candidate is not None
    assert status.stable is not None
    assert answered(grpc_client, since) == {status.stable.revision, status.candidate.revision}

    scans.comes_to(promoted("2"), "2")


def test_a_strangers_pod_reaches_the_router_and_nothing_behind_it(
    digits: Deployed, kubectl: Kubectl
) -> None:
    [server] = addresses(kubectl, f"{LABEL_COMPONENT}={COMPONENT_SERVER},{LABEL_OWNER}=digits")
    routers = addresses(kubectl, f"{LABEL_COMPONENT}={COMPONENT_ROUTER}")
    door = f"{digits.name}:{CLIENT_HTTP_PORT}"
    around = [
        *(f"{server}:{port}" for port in (TRITON_HTTP_PORT, TRITON_GRPC_PORT, TRITON_METRICS_PORT)),
        *(f"{router}:{AGENT_PORT}" for router in routers),
    ]

    words = ("exec", f"deployment/{STRANGER}", "-n", NAMESPACE, "--", "python", "-c", KNOCK)
    assert kubectl.run(*words, door, *around).split() == [door]


def answered(client: Client, since: float) -> set[str]:
    """Return the revisions that answered a client."""
    return {name for record in client.records_since(since) for name in record.revisions}


def router_pods(kubectl: Kubectl) -> list[str]:
    """Return the names of the router pods that are ready or go on serving."""
    pods = kubectl.items(NAMESPACE, "pods", f"{LABEL_COMPONENT}={COMPONENT_ROUTER}")
    return sorted(pod["metadata"]["name"] for pod in pods)


def addresses(kubectl: Kubectl, selector: str) -> list[str]:
    """Return the addresses of the pods that nobody is deleting."""
    pods = kubectl.items(NAMESPACE, "pods", selector)
    return [pod["status"]["podIP"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
