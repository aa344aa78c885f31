"""The adapter against the real API server: what a write does, and what a refusal means."""

import asyncio
from collections.abc import Callable

import pytest
from slipway.adapters.connection import MERGE, Connection
from slipway.adapters.kube import KubeCluster
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import CONTROLLER_REVISION, DEPLOYMENT, SERVICE_ACCOUNT, Kind
from slipway.engine.ownership import our_fields_hash
from slipway.errors import (
    ChangedUnderneath,
    ClusterUnavailable,
    ConflictError,
    FencedError,
    Refused,
    SpecError,
)

from tests.contract.kube.objects import a_deployment, a_quota, a_revision, a_service_account

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(connection: Connection) -> KubeCluster:
    return KubeCluster(connection, fence=lambda: None)


async def patch(connection: Connection, path: str, body: Manifest) -> None:
    """Change an object as somebody else."""
    query = {"fieldManager": "somebody"}
    answer = await connection.request("PATCH", path, query=query, body=body, content_type=MERGE)
    assert answer.is_success, answer.body


async def live(cluster: KubeCluster, manifest: Manifest) -> Manifest:
    found = await cluster.get(
        DEPLOYMENT, manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    )
    assert found is not None
    return found


def version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])


async def test_an_object_that_does_not_exist_is_none(cluster: KubeCluster, namespace: str) -> None:
    assert await cluster.get(DEPLOYMENT, namespace, "digits") is None


async def test_a_repeated_apply_leaves_the_resource_version(
    cluster: KubeCluster, namespace: str
) -> None:
    wanted = a_deployment(namespace)
    applied = await cluster.apply(wanted, existing_uid=None)
    async with asyncio.timeout(20):
        while not (applied := await live(cluster, applied))["status"].get("observedGeneration"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    again = await cluster.apply(wanted, existing_uid=applied["metadata"]["uid"])
    assert version(again) == version(applied)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"spec": {"paused": False}}, id="a value that another changes"),
        pytest.param({"spec": {"paused": None}}, id="a value that another removes"),
    ],
)
async def test_a_foreign_change_to_our_field_changes_the_hash_of_our_fields(
    cluster: KubeCluster, connection: Connection, namespace: str, change: Manifest
) -> None:
    applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
    await patch(connection, DEPLOYMENT.path(namespace, "digits"), change)
    ours = our_fields_hash(await live(cluster, applied), names.FIELD_MANAGER)
    assert ours != our_fields_hash(applied, names.FIELD_MANAGER)
    mended = await cluster.apply(a_deployment(namespace), existing_uid=applied["metadata"]["uid"])
    assert mended["spec"]["paused"] is True
    assert our_fields_hash(mended, names.FIELD_MANAGER) == our_fields_hash(
        applied, names.FIELD_MANAGER
    )


async def test_a_foreign_annotation_does_not_change_the_hash_of_our_fields(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
    path = DEPLOYMENT.path(namespace, "digits")
    await patch(connection, path, {"metadata": {"annotations": {"foreign": "yes"}}})
    now = await live(cluster, applied)
    assert version(now) != version(applied)
    assert our_fields_hash(now, names.FIELD_MANAGER) == our_fields_hash(
        applied, names.FIELD_MANAGER
    )


async def test_our_own_annotation_does_not_change_the_hash_of_our_fields(
    cluster: KubeCluster, namespace: str
) -> None:
    applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
    uid = applied["metadata"]["uid"]
    await cluster.annotate(
        DEPLOYMENT, namespace, "digits", uid=uid, annotations={names.ANNOTATION_EPOCH: "1.a"}
    )
    now = await live(cluster, applied)
    assert now["metadata"]["annotations"][names.ANNOTATION_EPOCH] == "1.a"
    assert our_fields_hash(now, names.FIELD_MANAGER) == our_fields_hash(
        applied, names.FIELD_MANAGER
    )


async def test_an_object_that_is_believed_absent_is_never_taken_over(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    foreign = a_service_account(namespace)
    foreign["metadata"]["labels"] = {"whose": "theirs"}
    answer = await connection.request("POST", SERVICE_ACCOUNT.path(namespace), body=foreign)
    assert answer.is_success
    with pytest.raises(ConflictError):
        await cluster.apply(a_service_account(namespace), existing_uid=None)
    now = await cluster.get(SERVICE_ACCOUNT, namespace, "digits")
    assert now is not None
    assert now["metadata"]["labels"] == {"whose": "theirs"}


async def test_an_object_that_was_recreated_is_not_changed(
    cluster: KubeCluster, namespace: str
) -> None:
    old = await cluster.apply(a_service_account(namespace), existing_uid=None)
    uid = old["metadata"]["uid"]
    await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=uid)
    with pytest.raises(ChangedUnderneath):  # gone: an apply with a uid never creates
        await cluster.apply(a_service_account(namespace), existing_uid=uid)
    new = await cluster.apply(a_service_account(namespace), existing_uid=None)
    assert new["metadata"]["uid"] != uid
    with pytest.raises(ChangedUnderneath):
        await cluster.apply(a_service_account(namespace), existing_uid=uid)
    with pytest.raises(ChangedUnderneath):
        await cluster.annotate(
            SERVICE_ACCOUNT, namespace, "digits", uid=uid, annotations={"a": "b"}
        )
    with pytest.raises(ChangedUnderneath):
        await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=uid)


async def test_deleting_what_is_gone_is_fine_and_what_changed_is_not(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    made = await cluster.apply(a_service_account(namespace), existing_uid=None)
    path = SERVICE_ACCOUNT.path(namespace, "digits")
    await patch(connection, path, {"metadata": {"annotations": {"changed": "yes"}}})
    uid = made["metadata"]["uid"]
    with pytest.raises(ChangedUnderneath):
        await cluster.delete(
            SERVICE_ACCOUNT, namespace, "digits", uid=uid, resource_version=version(made)
        )
    await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=uid)
    await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=uid)


async def written_at_last(cluster: KubeCluster, manifest: Manifest) -> Manifest:
    """Write the status to the newest version; a controller of the cluster may be faster."""
    async with asyncio.timeout(20):
        while True:
            now = await live(cluster, manifest)
            try:
                return await cluster.apply_status(manifest, resource_version=version(now))
            except ChangedUnderneath:
                continue


async def test_a_status_is_written_only_to_the_version_that_was_read(
    cluster: KubeCluster, connection: Connection, namespace: str
) -> None:
    read = await cluster.apply(a_deployment(namespace), existing_uid=None)
    status = {**read, "status": {"observedGeneration": 7}}
    await patch(
        connection,
        DEPLOYMENT.path(namespace, "digits"),
        {"metadata": {"annotations": {"changed": "yes"}}},
    )
    with pytest.raises(ChangedUnderneath):
        await cluster.apply_status(status, resource_version=version(read))
    written = await written_at_last(cluster, status)
    assert written["status"]["observedGeneration"] == 7
    assert our_fields_hash(written, names.FIELD_MANAGER) == our_fields_hash(
        read, names.FIELD_MANAGER
    )


async def test_replicas_belong_to_the_scaler_and_survive_our_apply(
    cluster: KubeCluster, namespace: str
) -> None:
    made = await cluster.apply(a_deployment(namespace), existing_uid=None)
    uid = made["metadata"]["uid"]
    await cluster.scale(namespace, "digits", uid=uid, replicas=3)
    again = await cluster.apply(a_deployment(namespace), existing_uid=uid)
    assert again["spec"]["replicas"] == 3
    await cluster.scale(namespace, "digits", uid=uid, replicas=0)
    assert (await live(cluster, made))["spec"]["replicas"] == 0


async def test_what_is_created_twice_is_a_conflict(cluster: KubeCluster, namespace: str) -> None:
    await cluster.create(a_service_account(namespace))
    with pytest.raises(ConflictError):
        await cluster.create(a_service_account(namespace))


async def test_a_dry_run_creates_nothing(cluster: KubeCluster, namespace: str) -> None:
    await cluster.create(a_deployment(namespace), dry_run=True)
    assert await cluster.get(DEPLOYMENT, namespace, "digits") is None


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
        except Refused as error:
            return "exceeded quota" in str(error)
        return False

    async with asyncio.timeout(20):
        while not await refused():  # noqa: ASYNC110 -- a new quota takes a moment to count
            await asyncio.sleep(0.1)


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
        except Refused as error:
            return "PodSecurity" in str(error)  # the service account comes a moment later
        return False

    async with asyncio.timeout(20):
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


async def test_objects_are_listed_by_labels_and_say_what_they_are(
    cluster: KubeCluster, namespace: str
) -> None:
    await cluster.create(a_deployment(namespace))
    assert await cluster.list(DEPLOYMENT, namespace, {names.LABEL_OWNER: "faces"}) == []
    found = await cluster.list(DEPLOYMENT, namespace, {names.LABEL_OWNER: "digits"})
    assert [(item["kind"], item["metadata"]["name"]) for item in found] == [
        ("Deployment", "digits")
    ]


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


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"zeta": 1, "alpha": {"b": [1, 2.5, None], "a": True}}, id="unsorted keys"),
        pytest.param({"env": "a < b && c > d"}, id="characters that Go escapes"),
        pytest.param({"env": 'é 模 😀 \u2028 \x85 \x7f \t " \\ yes: 1e3'}, id="beyond ASCII"),
    ],
)
async def test_a_revision_keeps_its_data_when_it_is_annotated(
    cluster: KubeCluster, namespace: str, data: Manifest
) -> None:
    created = await cluster.create(a_revision(namespace, data))
    meta = created["metadata"]
    await cluster.annotate(
        CONTROLLER_REVISION, namespace, meta["name"], uid=meta["uid"], annotations={"a": "b"}
    )
    found = await cluster.get(CONTROLLER_REVISION, namespace, meta["name"])
    assert found is not None
    assert found["data"] == data
    assert found["metadata"]["annotations"] == {"a": "b"}
