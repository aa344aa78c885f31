"""The adapter against the real API server: what a write does, and what a refusal means."""

import asyncio
from collections.abc import Callable

import pytest
from slipway.adapters.connection import MERGE, Connection
from slipway.adapters.kube import KubeCluster
from slipway.api.base import Manifest
from slipway.api.kinds import BY_NAME, CONTROLLER_REVISION, DEPLOYMENT, Kind
from slipway.errors import AdmissionDenied, ClusterUnavailable, FencedError, SpecError

from tests.contract.kube.objects import a_deployment, a_quota, a_revision, a_service_account
from tests.contract.kube.suite import ClusterContract, version

pytestmark = pytest.mark.cluster


async def patch(connection: Connection, path: str, body: Manifest) -> None:
    """Change an object as somebody else."""
    query = {"fieldManager": "somebody"}
    answer = await connection.request("PATCH", path, query=query, body=body, content_type=MERGE)
    assert answer.is_success, answer.body


class RealSomebody:
    """Fits `suite.Somebody`; the controllers are there already."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, manifest: Manifest) -> None:
        path = BY_NAME[manifest["kind"]].path(manifest["metadata"]["namespace"])
        answer = await self._connection.request("POST", path, body=manifest)
        assert answer.is_success, answer.body

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> None:
        await patch(self._connection, kind.path(namespace, name), body)

    async def observe(self, namespace: str, name: str) -> None:
        path = DEPLOYMENT.path(namespace, name)
        async with asyncio.timeout(60):
            while True:
                found = (await self._connection.request("GET", path)).json()
                if found["status"].get("observedGeneration"):
                    return
                await asyncio.sleep(0.05)

    async def collect(self) -> None:
        pass


@pytest.fixture
def cluster(connection: Connection) -> KubeCluster:
    return KubeCluster(connection, fence=lambda: None)


@pytest.fixture
def somebody(connection: Connection) -> RealSomebody:
    return RealSomebody(connection)


class TestKubeCluster(ClusterContract):
    """The real API server keeps the contract."""


async def test_a_value_that_is_wrong_names_its_field(cluster: KubeCluster, namespace: str) -> None:
    with pytest.raises(SpecError) as caught:
        await cluster.apply(a_deployment(namespace, minReadySeconds=-1), existing_uid=None)
    assert caught.value.path == "spec.minReadySeconds"


async def test_a_field_that_does_not_exist_is_refused(cluster: KubeCluster, namespace: str) -> None:
    with pytest.raises(SpecError, match="replcias"):
        await cluster.create(a_deployment(namespace, replcias=1), dry_run=True)


async def test_a_quota_refuses_in_words_fit_for_a_condition(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    quota = a_quota(namespace, **{"count/deployments.apps": "0"})
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    assert (await connection.request("POST", path, body=quota)).is_success

    async def refused() -> bool:
        try:
            await cluster.create(a_deployment(namespace), dry_run=True)
        except AdmissionDenied as error:
            return "exceeded quota" in str(error)
        return False

    async with asyncio.timeout(60):
        while not await refused():  # noqa: ASYNC110 -- a new quota takes a moment to count
            await asyncio.sleep(0.1)


async def test_a_namespace_that_is_being_deleted_refuses_in_words_fit_for_a_condition(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    keeper = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "keeper", "finalizers": ["slipway.dev/test"]},
    }
    path = f"/api/v1/namespaces/{namespace}"

    assert (await connection.request("POST", f"{path}/configmaps", body=keeper)).is_success

    try:
        assert (await connection.request("DELETE", path)).is_success
        with pytest.raises(AdmissionDenied, match="because it is being terminated"):
            await cluster.create(a_deployment(namespace))
    finally:
        await patch(connection, f"{path}/configmaps/keeper", {"metadata": {"finalizers": None}})


async def test_pod_security_refuses_in_words_fit_for_a_condition(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    await patch(connection, f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": label}})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": "p"},
        "spec": {"containers": [{"name": "c", "image": "c:1"}], "serviceAccountName": "default"},
    }

    async def refused() -> bool:
        try:
            await cluster.create(pod, dry_run=True)
        except AdmissionDenied as error:
            return "PodSecurity" in str(error)  # the service account comes a moment later
        return False

    async with asyncio.timeout(60):
        while not await refused():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_kind_that_is_not_served_is_no_missing_object(cluster: KubeCluster) -> None:
    unserved = Kind("slipway.dev", "v0", "nothings", "Nothing")
    with pytest.raises(ClusterUnavailable, match="404"):
        await cluster.get(unserved, "default", "x")


async def test_a_lost_lease_stops_every_write_and_no_read(
    connection: Connection, namespace: str
) -> None:
    def fence() -> None:
        raise FencedError("not the leader")

    cluster = KubeCluster(connection, fence=fence)
    manifest = a_deployment(namespace)
    writes: list[Callable[[], object]] = [
        lambda: cluster.create(manifest),
        lambda: cluster.apply(manifest, existing_uid=None),
        lambda: cluster.apply_status({**manifest, "status": {}}, resource_version="1"),
        lambda: cluster.scale(namespace, "digits", uid="u", replicas=1),
        lambda: cluster.annotate(DEPLOYMENT, namespace, "digits", uid="u", annotations={}),
        lambda: cluster.delete(DEPLOYMENT, namespace, "digits", uid="u"),
    ]
    for write in writes:
        with pytest.raises(FencedError):
            await write()  # type: ignore[misc]
    assert await cluster.list(DEPLOYMENT, namespace, {}) == []


async def test_what_was_written_is_shown_to_the_cache_at_once(
    connection: Connection, namespace: str
) -> None:
    shown: list[tuple[Kind, str]] = []
    cluster = KubeCluster(
        connection,
        fence=lambda: None,
        on_written=lambda kind, manifest: shown.append((kind, version(manifest))),
    )
    applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
    await cluster.create(a_deployment(namespace, "other"), dry_run=True)
    assert shown == [(DEPLOYMENT, version(applied))]


ANY_TEXT = [
    pytest.param("a < b && c > d", id="characters that Go escapes"),
    pytest.param('é 模 😀 \u2028 \x85 \x7f \ufeff \t " \\ yes: 1e3', id="beyond ASCII"),
]


@pytest.mark.parametrize("text", ANY_TEXT)
async def test_a_revision_keeps_its_data_when_it_is_annotated(
    cluster: KubeCluster, namespace: str, text: str
) -> None:
    data: Manifest = {"zeta": text, "alpha": {"b": [1, 2.5, 1e-7, None], "a": True}}
    created = await cluster.create(a_revision(namespace, data))
    meta = created["metadata"]
    await cluster.annotate(
        CONTROLLER_REVISION, namespace, meta["name"], uid=meta["uid"], annotations={"a": "b"}
    )
    found = await cluster.get(CONTROLLER_REVISION, namespace, meta["name"])
    assert found is not None
    assert found["data"] == data
    assert found["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize("text", ANY_TEXT)
async def test_what_is_applied_may_hold_any_text(
    cluster: KubeCluster, namespace: str, text: str
) -> None:
    wanted = a_service_account(namespace)
    wanted["metadata"]["annotations"] = {"text": text}
    applied = await cluster.apply(wanted, existing_uid=None)
    assert applied["metadata"]["annotations"] == {"text": text}
