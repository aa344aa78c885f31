"""Which router pods are waited for, and what a route's status keeps of those that are gone."""

from dataclasses import replace

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.policy.facts import PodFact, RouteFact
from slipway.reconcile.projections import project_object
from slipway.reconcile.router_pods import LEAVES_WITHIN, ProxyRepair, ServingRouters

from tests.builders import NOON, a_model_deployment, a_pod, a_route, facts_about, later
from tests.fakes.api import FakeApi
from tests.fakes.cluster import FakeCluster

NAMESPACE = a_model_deployment("1").metadata.namespace


def a_stored_route(api: FakeApi, *proxies: str) -> RouteFact:
    manifest: Manifest = {
        "apiVersion": kinds.MODEL_ROUTE.api_version,
        "kind": kinds.MODEL_ROUTE.kind,
        "metadata": {"namespace": NAMESPACE, "name": "digits"},
        "spec": {"port": 10_000, "model": "digits", "backends": []},
    }
    made = api.create(manifest, manager=names.FIELD_MANAGER)

    said = [
        {
            "name": name,
            "uid": f"uid-{name}",
            "generation": 1,
            "hash": "0",
            "effectiveWeights": {},
            "at": "2026-01-01T00:00:00Z",
        }
        for name in proxies
    ]
    api.put_status(kinds.MODEL_ROUTE, made, {"proxies": said})

    found = project_object(kinds.MODEL_ROUTE, api.get(kinds.MODEL_ROUTE, NAMESPACE, "digits") or {})
    assert isinstance(found, RouteFact)
    assert len(found.proxies) == len(proxies)
    return found


@pytest.mark.parametrize(
    ("told", "alive", "forgotten"),
    [
        pytest.param(("a", "b"), ("a",), 1, id="one of two is dead"),
        pytest.param(("a", "b"), (), 1, id="both are dead"),
        pytest.param(("a",), (), 0, id="the last one is dead"),
        pytest.param(("a",), ("a",), 0, id="all are alive"),
    ],
)
async def test_dead_proxies_are_forgotten_one_at_a_time_but_never_the_last(
    told: tuple[str, ...], alive: tuple[str, ...], forgotten: int
) -> None:
    """The API server refuses a status of which nothing is left, and every pass would end there."""
    api = FakeApi()
    cluster = FakeCluster(api)
    route = a_stored_route(api, *told)
    facts = replace(facts_about(a_model_deployment("1")), route=route, proxies=())
    pods = tuple(a_pod(name) for name in alive)
    pods = tuple(replace(pod, meta=replace(pod.meta, uid=f"uid-{pod.meta.name}")) for pod in pods)
    await ProxyRepair(cluster).repair(facts, pods, NOON)
    assert [write.kind for write in cluster.writes] == [kinds.MODEL_ROUTE.kind] * forgotten


UNREADY = a_pod("router-a", ready=False)
ENDING = replace(UNREADY, meta=replace(UNREADY.meta, deleting=True))


@pytest.mark.parametrize(
    ("pod", "route", "is_awaited"),
    [
        pytest.param(a_pod("router-a"), None, True, id="ready, before there is a route"),
        pytest.param(a_pod("router-a", address=None), a_route({}), False, id="no address"),
        pytest.param(UNREADY, a_route({}), True, id="not ready, and took weights"),
        pytest.param(UNREADY, None, False, id="not ready, before there is a route"),
        pytest.param(UNREADY, a_route({}, proxies=("router-b",)), False, id="never had the route"),
        pytest.param(UNREADY, a_route({}, acknowledged=0), False, id="never had its endpoints"),
        pytest.param(replace(UNREADY, running=False), a_route({}), False, id="no Envoy"),
        pytest.param(ENDING, a_route({}), True, id="ending, and serves on"),
    ],
)
def test_a_proxy_is_awaited_while_it_carries_requests(
    pod: PodFact, route: RouteFact | None, is_awaited: bool
) -> None:
    assert (ServingRouters().find((pod,), route, NOON) == (pod,)) is is_awaited


def test_a_proxy_on_a_node_that_is_lost_is_awaited_until_it_should_have_ended() -> None:
    routers, route = ServingRouters(), a_route({})
    seconds = int(LEAVES_WITHIN.total_seconds())

    assert routers.find((ENDING,), route, NOON)
    assert routers.find((ENDING,), route, later(seconds - 1))
    assert not routers.find((ENDING,), route, later(seconds))
