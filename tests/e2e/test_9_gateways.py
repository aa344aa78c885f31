"""Gateways of two implementations before the router: what passes, splits, changes and is refused.

`make gateways` runs it. One ModelDeployment for each implementation, from its first version on.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome, Stage
from slipway.api.names import CLIENT_HTTP_PORT

from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow, is_at
from tests.e2e.objects import HELD, NAMESPACE, Model, step
from tests.e2e.operators import Operators
from tests.gateways import programs
from tests.gateways.implementations import GATEWAY, IMPLEMENTATIONS, Implementation
from tests.gateways.implementations import install_gateway_api as install_crds
from tests.install import release
from tests.kubectl import Kubectl, Manifest, until
from tests.load.plan import Wire
from tests.models.server import NAME as FILE_SERVER

pytestmark = [pytest.mark.e2e, pytest.mark.gateways]

REQUESTS = 20_000
RATE = 8.0
"""Requests per second of the loads that must lose nothing."""
PATIENCE_SECONDS = 60.0
"""For an answer: a busy machine is no fault of a gateway."""
CALM_SECONDS = 5
"""Without a failure: the gateway answers again."""
COUNT = """
import asyncio, collections, json, sys
host, port, path = sys.argv[1:4]
total, at_once = map(int, sys.argv[4:6])
request = f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode()
left, counts = total, collections.Counter()

async def ask():
    global left
    reader, writer = await asyncio.open_connection(host, int(port))
    while left > 0:
        left -= 1
        writer.write(request)
        head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower().splitlines()
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(headers.get("content-length", 0)))
        counts[head[0].split()[1] + " " + headers.get("x-slipway-revision", "")] += 1

async def main():
    await asyncio.gather(*(ask() for _ in range(at_once)))
    print(json.dumps(counts))

asyncio.run(main())
"""
"""Asks so many times, as fast as answers come, and counts status and revision of each."""
AT_ONCE = 8
CHANGES = 100
SIGMAS = 3.0
ROUTES = "httproutes.gateway.networking.k8s.io"


@pytest.fixture(scope="module", params=IMPLEMENTATIONS, ids=lambda each: str(each.name))
def gateway(request: pytest.FixtureRequest, files: Kubectl) -> Implementation:
    """An implementation, whose Gateway runs."""
    programs.require_single_node()
    implementation: Implementation = request.param
    programs.build_program(implementation.program)
    install_crds(files)
    implementation.up(files, release.images().envoy)
    return implementation


@pytest.fixture(scope="module")
def model(gateway: Implementation, follow: Follow, kubectl: Kubectl) -> Iterator[Deployed]:
    """A model that is called through the gateway, with version 1 in service."""
    deployed = follow(f"at-{gateway.name}")
    deployed.apply(version(gateway, "1", file="digits-1.onnx"))
    deployed.wait_for_end("1")
    deployed.wait_for(lambda status: said(status) == "GatewayProgrammed", "the gateway")
    yield deployed
    kubectl.run("delete", "modeldeployment", deployed.name, "-n", NAMESPACE)


@pytest.fixture(scope="module")
def through_http(
    gateway: Implementation, model: Deployed, start_load: StartLoad
) -> Iterator[Client]:
    """A steady load over HTTP through the gateway."""
    with start_load(plan(gateway, model, "-http")) as client:
        yield client


@pytest.fixture(scope="module")
def through_grpc(
    gateway: Implementation, model: Deployed, start_load: StartLoad
) -> Iterator[Client]:
    """The same over gRPC."""
    with start_load(plan(gateway, model, "-grpc", wire=Wire.GRPC)) as client:
        yield client


@pytest.fixture
def unharmed_through(through_http: Client, through_grpc: Client) -> Iterator[None]:
    """Both loads lose nothing during the test."""
    with through_http.loses_nothing(), through_grpc.loses_nothing():
        yield


def version(gateway: Implementation, number: str, **more: Any) -> Model:
    """Return a version of the model, called under the name of the gateway's Service."""
    traffic = more.pop("traffic", through(gateway, hostnames=[gateway.host]))
    name = more.pop("name", f"at-{gateway.name}")
    return Model(name=name, version=number, traffic=traffic, mode="Fetch", **more)


def through(gateway: Implementation, **more: Any) -> Manifest:
    parent = {"name": GATEWAY, "namespace": gateway.namespace}
    return {"gateway": {"parentRefs": [parent], **more}}


def plan(gateway: Implementation, model: Deployed, suffix: str, **more: Any) -> Plan:
    address = more.pop("address", f"{gateway.host}:{gateway.port}")
    return Plan(
        model.name,
        suffix=suffix,
        address=address,
        rate=RATE,
        timeout_seconds=PATIENCE_SECONDS,
        **more,
    )


def said(status: ModelDeploymentStatus) -> str:
    """Return the reason of GatewayReady."""
    found = (each for each in status.conditions if each.type == ConditionType.GATEWAY_READY)
    return next((str(each.reason) for each in found), "")


def answered(client: Client, since: float) -> Counter[str]:
    """Return how many requests each revision answered."""
    counts: Counter[str] = Counter()
    for record in client.records_since(since):
        counts.update(record.revisions)
    return counts


def test_http_and_grpc_pass_through_the_gateway(
    through_http: Client, through_grpc: Client, model: Deployed
) -> None:
    since = time.time() + 1
    for client in (through_http, through_grpc):
        with client.loses_nothing():
            client.sends_on(5, RATE)
        assert set(answered(client, since)) == {model.stable_revision}


@pytest.mark.usefixtures("unharmed_through")
@pytest.mark.parametrize("weight", [1, 5, 50])
def test_the_split_is_that_of_the_weight(
    weight: int, gateway: Implementation, model: Deployed, kubectl: Kubectl
) -> None:
    weights = [each for each in (1, 5, 50) if each <= weight]
    steps = [step(each, hold=HELD if each == weight else 0) for each in weights]
    model.apply(version(gateway, "2", steps=steps, analysis={"mode": "Off"}))
    status = model.wait_for_stage(Stage.PROGRESSING, weight)
    assert status.candidate is not None

    counts = count_answers(kubectl, gateway, model)
    assert {answer.split()[0] for answer in counts} == {"200"}, counts
    measured, share = counts[f"200 {status.candidate.revision}"], weight / 100
    sigmas = (measured - REQUESTS * share) / math.sqrt(REQUESTS * share * (1 - share))
    print(f"{gateway.name}: {weight}%: {measured} of {REQUESTS}, {sigmas:+.2f} sigma")
    assert abs(sigmas) <= SIGMAS


def count_answers(kubectl: Kubectl, gateway: Implementation, model: Deployed) -> dict[str, int]:
    """Ask through the gateway, and return how many answers each status and revision gave."""
    where = (gateway.host, str(gateway.port), f"/v2/models/{model.name}/ready")
    numbers = (str(REQUESTS), str(AT_ONCE))
    words = ("exec", f"deployment/{FILE_SERVER}", "-n", NAMESPACE, "--", "python", "-c", COUNT)
    said = kubectl.run(*words, *where, *numbers, seconds=900)
    return Counter(json.loads(said))


@pytest.mark.usefixtures("unharmed_through")
def test_a_hundred_weight_changes_lose_nothing(
    model: Deployed,
    operators: Operators,
    kubectl: Kubectl,
    through_http: Client,
    through_grpc: Client,
) -> None:
    """The weights are written in the operator's place, which waits for evidence between them."""
    before = [client.load.total.sent for client in (through_http, through_grpc)]
    operators.scale(0)
    try:
        for number in range(CHANGES):
            set_weights(kubectl, model, 20 if number % 2 else 80)
        set_weights(kubectl, model, 50)
    finally:
        operators.scale(2)
    clients = zip((through_http, through_grpc), before, strict=True)
    sent = [client.load.total.sent - earlier for client, earlier in clients]
    print(f"{CHANGES} changes: {sent[0]} requests over HTTP, {sent[1]} over gRPC")


def set_weights(kubectl: Kubectl, model: Deployed, first: int) -> None:
    """Give the route other weights, and wait until every proxy runs them."""
    values = enumerate((first, 100 - first))
    patch = [
        {"op": "replace", "path": f"/spec/backends/{index}/weight", "value": value}
        for index, value in values
    ]
    words = ("patch", "modelroute", model.name, "-n", NAMESPACE, "--type=json")
    kubectl.run(*words, "-p", json.dumps(patch))

    def is_acknowledged() -> bool:
        route = model.route()
        generations = {each["generation"] for each in route["status"]["proxies"]}
        return generations == {route["metadata"]["generation"]}

    until(is_acknowledged, "the proxies", 60)


@pytest.mark.usefixtures("unharmed_through")
def test_a_version_is_promoted_and_another_rolled_back(
    gateway: Implementation, model: Deployed, kubectl: Kubectl
) -> None:
    generation = route_of(kubectl, model)["metadata"]["generation"]
    model.apply(version(gateway, "2", steps=[step(50)]))
    assert model.wait_for_end("2").outcome is Outcome.PROMOTED

    faulty = version(gateway, "3", file="digits-4.tar.gz", steps=[step(25)], strict=True)
    model.apply(faulty)
    assert model.wait_for_end("3").outcome is Outcome.ROLLED_BACK
    assert route_of(kubectl, model)["metadata"]["generation"] == generation


def route_of(kubectl: Kubectl, model: Deployed) -> Manifest:
    found = kubectl.get(NAMESPACE, ROUTES, model.name)
    assert found is not None
    return found


def test_a_gateway_that_goes_in_mid_rollout_is_no_fault_of_the_candidate(
    gateway: Implementation,
    model: Deployed,
    kubectl: Kubectl,
    start_load: StartLoad,
    through_http: Client,
) -> None:
    model.apply(version(gateway, "4", steps=[step(25, hold=HELD)]))
    model.wait_for_stage(Stage.PROGRESSING, 25)
    inside = plan(gateway, model, "-inside", address=f"{model.name}:{CLIENT_HTTP_PORT}")
    with start_load(inside) as client, client.loses_nothing():
        gateway.delete_gateway(kubectl)
        status = model.wait_for(lambda now: said(now) == "GatewayNotFound", "the loss")
        assert is_at(status, Stage.PROGRESSING, 25)

        gateway.create_gateway(kubectl)
        model.wait_for(lambda now: said(now) == "GatewayProgrammed", "the gateway again")
    answers_again(through_http)

    with through_http.loses_nothing():
        model.apply(version(gateway, "4", steps=[step(25)]))
        assert model.wait_for_end("4").outcome is Outcome.PROMOTED


def answers_again(client: Client) -> None:
    """Wait until a while was without failures, and nothing waits that found no gateway."""

    def is_calm() -> bool:
        last = client.load.records()[-CALM_SECONDS:]
        return last[-1].in_flight < RATE and not any(each.counts.failed for each in last)

    until(is_calm, "answers again", 3 * PATIENCE_SECONDS)


def test_a_gateway_that_does_not_let_the_namespace_in_is_told(
    gateway: Implementation, model: Deployed, kubectl: Kubectl, through_http: Client
) -> None:
    gateway.create_private_gateway(kubectl)
    status = model.wait_for(lambda now: said(now) == "NotAllowedByListeners", "the refusal")
    [ready] = [each for each in status.conditions if each.type == ConditionType.READY]
    assert ready.status == "True"

    gateway.create_gateway(kubectl)
    model.wait_for(lambda now: said(now) == "GatewayProgrammed", "the gateway again")
    answers_again(through_http)


def test_of_two_with_one_hostname_the_first_keeps_it(
    gateway: Implementation, model: Deployed, kubectl: Kubectl, follow: Follow, through_http: Client
) -> None:
    second = follow(f"second-{gateway.name}")
    with through_http.loses_nothing():
        second.apply(version(gateway, "1", name=second.name, file="digits-1.onnx"))
        status = second.wait_for(lambda now: said(now) == "HostnameTaken", "the refusal")
        [entry] = [each for each in status.conditions if each.type == ConditionType.GATEWAY_READY]
        assert f"ModelDeployment {NAMESPACE}/{model.name}" in entry.message
        assert kubectl.get(NAMESPACE, ROUTES, second.name) is None
    kubectl.run("delete", "modeldeployment", second.name, "-n", NAMESPACE)


def test_what_the_user_adds_stays_and_needs_a_grant_for_another_namespace(
    gateway: Implementation, model: Deployed, kubectl: Kubectl, through_http: Client
) -> None:
    rules = [with_additions(rule) for rule in route_of(kubectl, model)["spec"]["rules"]]
    elsewhere = {"group": "", "kind": "Service", "name": "kubernetes", "namespace": "default"}
    theirs = {
        "name": "theirs",
        "matches": [{"path": {"type": "Exact", "value": "/theirs"}}],
        "backendRefs": [elsewhere | {"port": 443, "weight": 1}],
    }
    with through_http.loses_nothing():
        set_rules(kubectl, model, [*rules, theirs])
        model.wait_for(lambda now: said(now) == "ReferenceNotPermitted", "the refusal")
        until(lambda: header_added(kubectl, gateway, model) == ADDED, "the filter's header", 60)

        kubectl.apply(GRANT)
        model.wait_for(lambda now: said(now) == "GatewayProgrammed", "the grant")
        assert route_of(kubectl, model)["spec"]["rules"] == [*rules, theirs]
        set_rules(kubectl, model, rules)
    kubectl.run("delete", "referencegrants.gateway.networking.k8s.io", "models", "-n", "default")


def set_rules(kubectl: Kubectl, model: Deployed, rules: list[Manifest]) -> None:
    patch = json.dumps({"spec": {"rules": rules}})
    kubectl.run("patch", ROUTES, model.name, "-n", NAMESPACE, "--type=merge", "-p", patch)


def with_additions(rule: Manifest) -> Manifest:
    """Return our rule for HTTP with a match by a header and a filter, and any other as it is."""
    if rule["name"] != HTTP_RULE:
        return rule
    header = {"type": "Exact", "name": "x-company", "value": ADDED}
    match = {"path": {"type": "PathPrefix", "value": "/theirs/v2"}, "headers": [header]}
    return rule | {"matches": [*rule["matches"], match], "filters": [FILTER]}


def header_added(kubectl: Kubectl, gateway: Implementation, model: Deployed) -> str:
    """Return what the filter adds to an answer; empty without it."""
    url = f"http://{gateway.host}:{gateway.port}/v2/models/{model.name}/ready"
    words = ("exec", f"deployment/{FILE_SERVER}", "-n", NAMESPACE, "--", "python", "-c", ASK_HEADER)
    return kubectl.run(*words, url).strip()


HTTP_RULE = "slipway-http"
ADDED = "yes"
FILTER: Manifest = {
    "type": "ResponseHeaderModifier",
    "responseHeaderModifier": {"set": [{"name": "x-company", "value": ADDED}]},
}
ASK_HEADER = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer:
    print(answer.headers.get("x-company", ""))
"""
GRANT: Manifest = {
    "apiVersion": "gateway.networking.k8s.io/v1beta1",
    "kind": "ReferenceGrant",
    "metadata": {"name": "models", "namespace": "default"},
    "spec": {
        "from": [
            {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": NAMESPACE}
        ],
        "to": [{"group": "", "kind": "Service"}],
    },
}


def test_grpc_may_have_a_route_of_its_own(
    gateway: Implementation,
    model: Deployed,
    kubectl: Kubectl,
    start_load: StartLoad,
    through_http: Client,
) -> None:
    grpc_host = f"{gateway.host}.cluster.local"
    traffic = through(gateway, hostnames=[gateway.host], grpc={"hostnames": [grpc_host]})
    model.apply(version(gateway, "4", steps=[step(25)], traffic=traffic))
    model.wait_for(lambda now: said(now) == "GatewayProgrammed", "both routes")
    [rule] = [it for it in route_of(kubectl, model)["spec"]["rules"] if it["name"] == HTTP_RULE]
    assert rule == with_additions(rule | {"matches": rule["matches"][:1]})

    address = f"{grpc_host}:{gateway.port}"
    own = plan(gateway, model, "-own", address=address, wire=Wire.GRPC)
    with through_http.loses_nothing(), start_load(own) as client, client.loses_nothing():
        client.sends_on(5, RATE)
