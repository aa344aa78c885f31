"""Routes before the real API server with the real CRDs: taken strictly, and the same ever after."""

from typing import Any

import pytest
from slipway.adapters.connection import MERGE, Connection
from slipway.adapters.kube import KubeCluster
from slipway.api.base import Manifest
from slipway.api.kinds import GRPC_ROUTE, HTTP_ROUTE, SERVICE_ACCOUNT, Kind
from slipway.api.modeldeployment import GatewayParent
from slipway.api.protocol import Protocol
from slipway.errors import ChangedUnderneath, KindNotServed
from slipway.render.gateway import is_applied, render_grpc_route, render_http_route
from slipway.render.owner import Owner

from tests.contract.kube.objects import a_service_account
from tests.gateways.implementations import install_gateway_api
from tests.kubectl import Kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.gateways]

PARENTS = [
    GatewayParent(name="company", namespace="gateways", section_name="https"),
    GatewayParent(name="edge"),
]


@pytest.fixture(scope="module", autouse=True)
def crds() -> None:
    install_gateway_api(Kubectl())


@pytest.fixture
def cluster(connection: Connection) -> KubeCluster:
    return KubeCluster(connection, fence=lambda: None)


@pytest.fixture
async def owner(cluster: KubeCluster, namespace: str) -> Owner:
    """An owner that exists: the garbage collector takes what belongs to none."""
    made = await cluster.create(a_service_account(namespace))
    assert await cluster.get(SERVICE_ACCOUNT, namespace, "digits") is not None
    return Owner("digits", namespace, made["metadata"]["uid"])


def rendered(kind: Kind, owner: Owner, *hostnames: str, existing: Any = None) -> Manifest:
    now = existing if existing is not None else {}
    if kind is GRPC_ROUTE:
        made = render_grpc_route(owner, PARENTS, hostnames, existing=now)
    else:
        made = render_http_route(owner, PARENTS, hostnames, tuple(Protocol), existing=now)
    for reference in made["metadata"]["ownerReferences"]:
        reference |= {"apiVersion": "v1", "kind": "ServiceAccount"}
    return made


@pytest.mark.parametrize("hostnames", [(), ("digits.example.org", "*.models.example.org")])
@pytest.mark.parametrize("kind", [HTTP_ROUTE, GRPC_ROUTE], ids=lambda kind: str(kind.kind))
async def test_what_is_applied_is_stored_as_it_is_rendered_again(
    cluster: KubeCluster, owner: Owner, kind: Kind, hostnames: tuple[str, ...]
) -> None:
    made = await cluster.apply(rendered(kind, owner, *hostnames), existing_uid=None)
    again = rendered(kind, owner, *hostnames, existing=made["spec"])
    assert is_applied(again, made)

    uid = made["metadata"]["uid"]
    repeated = await cluster.apply(again, existing_uid=uid)
    assert repeated["metadata"]["generation"] == 1


async def test_what_a_person_adds_survives_the_next_apply(
    cluster: KubeCluster, connection: Connection, owner: Owner
) -> None:
    made = await cluster.apply(rendered(HTTP_ROUTE, owner, "a.example.org"), existing_uid=None)
    rules = made["spec"]["rules"]
    theirs = {"name": "theirs", "backendRefs": [{"name": "web", "port": 80}]}
    header = {"type": "Exact", "name": "x-team", "value": "a"}
    rules[1]["matches"][0]["headers"] = [header]
    path = HTTP_ROUTE.path(owner.namespace, owner.name)
    query = {"fieldManager": "kubectl-edit"}
    body = {"spec": {"rules": [theirs, *rules]}}
    answer = await connection.request("PATCH", path, query=query, body=body, content_type=MERGE)
    edited = answer.json()

    wanted = rendered(HTTP_ROUTE, owner, "b.example.org", existing=edited["spec"])
    assert not is_applied(wanted, edited)
    applied = await cluster.apply(wanted, existing_uid=edited["metadata"]["uid"])
    assert applied["spec"]["hostnames"] == ["b.example.org"]
    assert applied["spec"]["rules"] == edited["spec"]["rules"]
    assert is_applied(
        rendered(HTTP_ROUTE, owner, "b.example.org", existing=applied["spec"]), applied
    )


async def test_an_apply_that_rests_on_an_older_version_is_refused(
    cluster: KubeCluster, connection: Connection, owner: Owner
) -> None:
    made = await cluster.apply(rendered(HTTP_ROUTE, owner), existing_uid=None)
    path = HTTP_ROUTE.path(owner.namespace, owner.name)
    body = {"metadata": {"annotations": {"edited": "yes"}}}
    await connection.request("PATCH", path, body=body, content_type=MERGE)

    stale = rendered(HTTP_ROUTE, owner, "a.example.org", existing=made["spec"])
    stale["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    with pytest.raises(ChangedUnderneath):
        await cluster.apply(stale, existing_uid=made["metadata"]["uid"])


async def test_a_kind_without_a_crd_is_told_apart_from_an_object_that_is_missing(
    cluster: KubeCluster, namespace: str
) -> None:
    nowhere = Kind("nobody.example.org", "v1", "things", "Thing")
    with pytest.raises(KindNotServed):
        await cluster.get(nowhere, namespace, "digits")
    with pytest.raises(KindNotServed):
        await cluster.list(nowhere, namespace, {})
    assert await cluster.get(HTTP_ROUTE, namespace, "digits") is None
