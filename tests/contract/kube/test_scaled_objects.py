"""ScaledObjects against the schema of the real KEDA: written once, refused by name, or unknown."""

from collections.abc import Iterator

import pytest
from slipway.adapters.connection import Connection
from slipway.adapters.kube import KubeCluster
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import SCALED_OBJECT
from slipway.api.modeldeployment import Scaling
from slipway.engine.managed_fields import owns_all_fields
from slipway.errors import KindNotServed, SpecError
from slipway.policy.facts import AutoscalerFact
from slipway.reconcile.projections import project_object
from slipway.render.owner import Owner
from slipway.render.scaled_object import ScaledObjectSpec, render_scaled_object

from tests.contract.kube.objects import a_service_account
from tests.e2e import keda
from tests.kubectl import Kubectl

pytestmark = pytest.mark.keda

TRIGGERS: list[Manifest] = [
    {
        "type": "prometheus",
        "name": "load",
        "metadata": {"serverAddress": "http://prometheus:9090", "query": "up", "threshold": "4"},
        "authenticationRef": {"name": "reader", "kind": "ClusterTriggerAuthentication"},
        "metricType": "AverageValue",
        "useCachedMetrics": True,
    },
    {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}},
]


@pytest.fixture
def cluster(connection: Connection) -> KubeCluster:
    return KubeCluster(connection, fence=lambda: None)


@pytest.fixture
def served() -> Iterator[None]:
    """KEDA's own CRDs, without KEDA."""
    kubectl = Kubectl()
    keda.install_crds(kubectl)
    yield
    keda.remove_crds(kubectl)


async def a_scaled_object(connection: Connection, namespace: str, least: int = 2) -> Manifest:
    """Return a ScaledObject with an owner that exists."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    account = a_service_account(namespace)
    await connection.request("POST", path, body=account)
    name = account["metadata"]["name"]
    owner = (await connection.request("GET", f"{path}/{name}")).json()["metadata"]["uid"]

    keda_spec = {"triggers": TRIGGERS}
    scaling = Scaling.model_validate({"maxReplicas": 8, "engine": "KEDA", "keda": keda_spec})
    assert scaling.keda is not None
    spec = ScaledObjectSpec(
        Owner("digits", namespace, owner), "0a1b2c3d", scaling, scaling.keda.triggers, least
    )
    return render_scaled_object(spec)


async def test_a_kind_whose_crd_is_missing_is_told_from_an_object_that_is(
    cluster: KubeCluster, namespace: str
) -> None:
    with pytest.raises(KindNotServed):
        await cluster.list(SCALED_OBJECT, namespace, {names.MANAGED_BY: names.MANAGER})


@pytest.mark.usefixtures("served")
async def test_what_is_rendered_is_what_keda_knows_and_stays_ours(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    manifest = await a_scaled_object(connection, namespace)
    made = await cluster.apply(manifest, existing_uid=None)
    assert owns_all_fields(made, names.FIELD_MANAGER, manifest)
    assert made["spec"]["triggers"] == TRIGGERS

    raised = await a_scaled_object(connection, namespace, least=5)
    uid = made["metadata"]["uid"]
    after = await cluster.apply(raised, existing_uid=uid)
    assert (after["spec"]["minReplicaCount"], after["spec"]["maxReplicaCount"]) == (5, 8)

    [found] = await cluster.list(SCALED_OBJECT, namespace, {names.LABEL_OWNER: "digits"})
    fact = project_object(SCALED_OBJECT, found)
    assert isinstance(fact, AutoscalerFact)
    assert (fact.revision, fact.is_kedas, fact.measures) == ("0a1b2c3d", True, False)
    assert fact.problem is not None

    await cluster.delete(SCALED_OBJECT, namespace, found["metadata"]["name"], uid=uid)
    assert not await cluster.list(SCALED_OBJECT, namespace, {names.LABEL_OWNER: "digits"})


@pytest.mark.usefixtures("served")
async def test_a_field_that_keda_does_not_know_is_refused_by_name(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    manifest = await a_scaled_object(connection, namespace)
    spec = {**manifest["spec"], "triggers": [{**TRIGGERS[1], "treshold": "4"}]}
    with pytest.raises(SpecError, match="treshold"):
        await cluster.apply({**manifest, "spec": spec}, existing_uid=None)
