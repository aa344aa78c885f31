"""Who reaches which pod, asked of the policies as an enforcer reads them."""

from dataclasses import dataclass

import pytest
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import NETWORK_POLICY
from slipway.render.network_policies import Walls
from slipway.render.router import LABELS, RouterSpec, render_router
from slipway.settings import ModelNetworkPolicies

NAMESPACE, OPERATORS = "vision", "slipway-system"
HTTP, GRPC, METRICS = 8000, 8001, 8002
AGENT, LISTENER, DOWNLOAD = 9901, 10_000, 9902


@dataclass(frozen=True)
class Pod:
    """As much of a pod as policies select by."""

    labels: dict[str, str]
    namespace: str = NAMESPACE


SERVER = Pod(names.common_labels("digits", names.COMPONENT_SERVER, "3f2a9c01"))
OTHER_SERVER = Pod(names.common_labels("letters", names.COMPONENT_SERVER, "77aa9c01"))
CHECK = Pod(names.common_labels("digits", names.COMPONENT_CHECK, "3f2a9c01"))
PACKAGE = Pod(names.common_labels("digits", names.COMPONENT_PACKAGE))
ROUTER = Pod(LABELS)
OPERATOR = Pod({"app.kubernetes.io/name": "slipway", "any": "other"}, OPERATORS)
STRANGER = Pod({"app": "web"})
ROUTER_ELSEWHERE = Pod(LABELS, "speech")
PROMETHEUS = Pod({"app": "prometheus"}, "monitoring")
MONITORING: Manifest = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
}


def policies(
    models: frozenset[str] | None = frozenset({"digits"}), **settings: list[Manifest]
) -> list[Manifest]:
    walls = Walls(OPERATORS, models, ModelNetworkPolicies.model_validate(settings))
    rendered = render_router(NAMESPACE, "uid", RouterSpec("a", "e", walls=walls))
    return [each for each in rendered if each["kind"] == NETWORK_POLICY.kind]


def reaches(source: Pod, target: Pod, port: int, among: list[Manifest]) -> bool:
    """Return whether a connection is let through, by the rules of the API."""
    specs = [each["spec"] for each in among if target.namespace == each["metadata"]["namespace"]]
    about = [spec for spec in specs if selects(spec["podSelector"], target.labels)]
    rules = [rule for spec in about for rule in spec["ingress"]]
    return not about or any(lets_in(rule, source, port) for rule in rules)


def lets_in(rule: Manifest, source: Pod, port: int) -> bool:
    fits = any(each["port"] <= port <= each.get("endPort", each["port"]) for each in rule["ports"])
    return fits and ("from" not in rule or any(is_peer(peer, source) for peer in rule["from"]))


def is_peer(peer: Manifest, source: Pod) -> bool:
    place = {"kubernetes.io/metadata.name": source.namespace}
    here = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    return selects(peer.get("namespaceSelector", here), place) and selects(
        peer.get("podSelector", {}), source.labels
    )


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    listed = selector.get("matchExpressions", [])
    assert {each["operator"] for each in listed} <= {"In"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in listed
    )


# ── model servers ──


@pytest.mark.parametrize("port", [HTTP, GRPC])
@pytest.mark.parametrize("caller", [ROUTER, CHECK])
def test_routers_and_checks_call_a_walled_server(caller: Pod, port: int) -> None:
    assert reaches(caller, SERVER, port, policies())


@pytest.mark.parametrize("port", [HTTP, GRPC, DOWNLOAD])
@pytest.mark.parametrize(
    "caller", [STRANGER, PACKAGE, OTHER_SERVER, PROMETHEUS, ROUTER_ELSEWHERE], ids=str
)
def test_nobody_else_does(caller: Pod, port: int) -> None:
    assert not reaches(caller, SERVER, port, policies())


def test_a_model_that_says_nothing_of_callers_is_as_open_as_before() -> None:
    assert reaches(STRANGER, OTHER_SERVER, HTTP, policies())


def test_the_servers_of_all_models_can_be_walled_in() -> None:
    assert not reaches(STRANGER, OTHER_SERVER, HTTP, policies(models=None))
    assert reaches(ROUTER, OTHER_SERVER, HTTP, policies(models=None))


def test_without_walls_there_is_only_the_policy_of_the_routers() -> None:
    [only] = policies(models=frozenset())
    assert only["metadata"]["name"] == names.ROUTER_NAME


@pytest.mark.parametrize("port", [METRICS, DOWNLOAD])
def test_the_operator_reads_load_and_downloads_and_calls_no_model(port: int) -> None:
    assert reaches(OPERATOR, SERVER, port, policies())
    assert not reaches(OPERATOR, SERVER, HTTP, policies())
    assert not reaches(Pod(OPERATOR.labels, "elsewhere"), SERVER, DOWNLOAD, policies())


def test_further_callers_can_be_named() -> None:
    gateway: Manifest = {"podSelector": {"matchLabels": STRANGER.labels}}
    assert reaches(STRANGER, SERVER, GRPC, policies(serversFrom=[gateway]))


# ── metrics ──


@pytest.mark.parametrize(("target", "port"), [(SERVER, METRICS), (ROUTER, AGENT)])
def test_metrics_are_open_until_it_is_said_who_may_read_them(target: Pod, port: int) -> None:
    assert reaches(STRANGER, target, port, policies())
    told = policies(metricsFrom=[MONITORING])
    assert not reaches(STRANGER, target, port, told)
    assert reaches(PROMETHEUS, target, port, told)
    assert reaches(OPERATOR, target, port, told)


def test_whoever_reads_metrics_calls_no_model() -> None:
    assert not reaches(PROMETHEUS, SERVER, HTTP, policies(metricsFrom=[MONITORING]))


# ── routers and Jobs ──


@pytest.mark.parametrize("caller", [STRANGER, PROMETHEUS], ids=str)
def test_clients_reach_the_routers_from_everywhere(caller: Pod) -> None:
    assert reaches(caller, ROUTER, LISTENER, policies(metricsFrom=[MONITORING]))


@pytest.mark.parametrize("job", [PACKAGE, CHECK])
def test_a_job_hears_nobody_but_the_operator(job: Pod) -> None:
    assert reaches(OPERATOR, job, DOWNLOAD, policies())
    assert not reaches(STRANGER, job, DOWNLOAD, policies())
    assert not reaches(STRANGER, job, HTTP, policies())


def test_policies_come_before_the_pods_that_they_are_about() -> None:
    walls = Walls(OPERATORS, None)
    order = [
        each["kind"] for each in render_router(NAMESPACE, "u", RouterSpec("a", "e", walls=walls))
    ]
    assert order[:3] == [NETWORK_POLICY.kind] * 3


def test_what_a_pod_connects_to_is_left_alone() -> None:
    assert {tuple(each["spec"]["policyTypes"]) for each in policies()} == {("Ingress",)}
