"""What the status of a route keeps of router pods that are gone."""

from dataclasses import replace

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.policy.facts import RouteFact
from slipway.reconcile.projections import project_object
from slipway.reconcile.router_pods import ProxyRepair

from tests.builders import NOON, a_model_deployment, a_pod, facts_about
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
