"""What a cluster does with a pass's reads and writes: one suite, for the real and the fake one."""

import asyncio
from typing import Protocol

import pytest
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, SERVICE_ACCOUNT, Kind
from slipway.engine.managed_fields import hash_owned_fields
from slipway.errors import ChangedUnderneath, ConflictError
from slipway.reconcile.ports import Cluster

from tests.contract.kube.objects import a_deployment, a_proxy, a_route, a_service_account


class Somebody(Protocol):
    """Another client, and the controllers."""

    async def create(self, manifest: Manifest) -> None:
        """Create an object."""

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> None:
        """Change an object by merge patch."""

    async def observe(self, namespace: str, name: str) -> None:
        """Be the controller of a Deployment: its status says that it was seen."""

    async def collect(self) -> None:
        """Be the garbage collector."""


async def live(cluster: Cluster, manifest: Manifest) -> Manifest:
    found = await cluster.get(
        DEPLOYMENT, manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    )
    assert found is not None
    return found


def version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])


async def written_at_last(cluster: Cluster, manifest: Manifest) -> Manifest:
    """Write the status to the newest version; a controller of the cluster may be faster."""
    async with asyncio.timeout(60):
        while True:
            now = await live(cluster, manifest)
            try:
                return await cluster.apply_status(manifest, resource_version=version(now))
            except ChangedUnderneath:
                continue


def ours(manifest: Manifest) -> str | None:
    return hash_owned_fields(manifest, names.FIELD_MANAGER)


class ClusterContract:
    """Fixtures `cluster`, `somebody` and `namespace` come from who inherits."""

    async def test_an_object_that_does_not_exist_is_none(
        self, cluster: Cluster, namespace: str
    ) -> None:
        assert await cluster.get(DEPLOYMENT, namespace, "digits") is None

    async def test_a_repeated_apply_leaves_the_resource_version(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        wanted = a_deployment(namespace)
        await cluster.apply(wanted, existing_uid=None)
        await somebody.observe(namespace, "digits")
        applied = await live(cluster, wanted)
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
        self, cluster: Cluster, somebody: Somebody, namespace: str, change: Manifest
    ) -> None:
        applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
        await somebody.patch(DEPLOYMENT, namespace, "digits", change)
        assert ours(await live(cluster, applied)) != ours(applied)
        uid = applied["metadata"]["uid"]
        mended = await cluster.apply(a_deployment(namespace), existing_uid=uid)
        assert mended["spec"]["paused"] is True
        assert ours(mended) == ours(applied)

    async def test_a_foreign_annotation_does_not_change_the_hash_of_our_fields(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
        foreign = {"metadata": {"annotations": {"foreign": "yes"}}}
        await somebody.patch(DEPLOYMENT, namespace, "digits", foreign)
        now = await live(cluster, applied)
        assert version(now) != version(applied)
        assert ours(now) == ours(applied)

    async def test_our_own_annotation_does_not_change_the_hash_of_our_fields(
        self, cluster: Cluster, namespace: str
    ) -> None:
        applied = await cluster.apply(a_deployment(namespace), existing_uid=None)
        uid = applied["metadata"]["uid"]
        await cluster.annotate(
            DEPLOYMENT, namespace, "digits", uid=uid, annotations={names.ANNOTATION_EPOCH: "1.a"}
        )
        now = await live(cluster, applied)
        assert now["metadata"]["annotations"][names.ANNOTATION_EPOCH] == "1.a"
        assert ours(now) == ours(applied)

    async def test_a_field_that_is_no_longer_applied_goes(
        self, cluster: Cluster, namespace: str
    ) -> None:
        wanted = a_deployment(namespace, minReadySeconds=7)
        wanted["metadata"] |= {"annotations": {"a": "b"}}
        made = await cluster.apply(wanted, existing_uid=None)
        uid = made["metadata"]["uid"]
        again = await cluster.apply(a_deployment(namespace), existing_uid=uid)
        assert not again["spec"].get("minReadySeconds")
        assert "annotations" not in again["metadata"]

    async def test_a_route_loses_its_last_backend_and_is_empty(
        self, cluster: Cluster, namespace: str
    ) -> None:
        made = await cluster.apply(a_route(namespace, "0a1b2c3d"), existing_uid=None)
        uid = made["metadata"]["uid"]
        emptied = await cluster.apply(a_route(namespace), existing_uid=uid)
        assert emptied["spec"]["backends"] == []
        again = await cluster.apply(a_route(namespace), existing_uid=uid)
        assert version(again) == version(emptied)

        filled = await cluster.apply(a_route(namespace, "1b2c3d4e"), existing_uid=uid)
        assert [entry["revision"] for entry in filled["spec"]["backends"]] == ["1b2c3d4e"]

    async def test_a_proxy_that_serves_nobody_any_more_says_so(
        self, cluster: Cluster, namespace: str
    ) -> None:
        made = await cluster.apply(a_route(namespace, "0a1b2c3d"), existing_uid=None)
        route, now = a_route(namespace), version(made)
        for weights in ({"0a1b2c3d": 100}, {}):
            route["status"] = {"proxies": [a_proxy(weights)]}
            written = await cluster.apply_status(route, resource_version=now)
            now = version(written)
            assert written["status"]["proxies"][0]["effectiveWeights"] == weights

    async def test_spec_and_annotations_of_a_deployment_make_a_new_generation(
        self, cluster: Cluster, namespace: str
    ) -> None:
        made = await cluster.apply(a_deployment(namespace), existing_uid=None)
        uid = made["metadata"]["uid"]
        await written_at_last(cluster, {**made, "status": {"observedGeneration": 1}})
        assert (await live(cluster, made))["metadata"]["generation"] == 1
        await cluster.scale(namespace, "digits", uid=uid, replicas=2)
        assert (await live(cluster, made))["metadata"]["generation"] == 2
        await cluster.annotate(DEPLOYMENT, namespace, "digits", uid=uid, annotations={"a": "b"})
        assert (await live(cluster, made))["metadata"]["generation"] == 3

    async def test_an_object_that_is_believed_absent_is_never_taken_over(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        foreign = a_service_account(namespace)
        foreign["metadata"]["labels"] = {"whose": "theirs"}
        await somebody.create(foreign)
        with pytest.raises(ConflictError):
            await cluster.apply(a_service_account(namespace), existing_uid=None)
        now = await cluster.get(SERVICE_ACCOUNT, namespace, "digits")
        assert now is not None
        assert now["metadata"]["labels"] == {"whose": "theirs"}

    async def test_an_object_that_was_recreated_is_not_changed(
        self, cluster: Cluster, namespace: str
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

    async def test_what_is_gone_is_neither_annotated_nor_scaled(
        self, cluster: Cluster, namespace: str
    ) -> None:
        with pytest.raises(ChangedUnderneath):
            await cluster.annotate(DEPLOYMENT, namespace, "digits", uid="u", annotations={"a": "b"})
        with pytest.raises(ChangedUnderneath):
            await cluster.scale(namespace, "digits", uid="u", replicas=2)

    async def test_deleting_what_is_gone_is_fine_and_what_changed_is_not(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        made = await cluster.apply(a_service_account(namespace), existing_uid=None)
        change = {"metadata": {"annotations": {"changed": "yes"}}}
        await somebody.patch(SERVICE_ACCOUNT, namespace, "digits", change)
        uid = made["metadata"]["uid"]
        with pytest.raises(ChangedUnderneath):
            await cluster.delete(
                SERVICE_ACCOUNT, namespace, "digits", uid=uid, resource_version=version(made)
            )
        await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=uid)
        await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=uid)

    async def test_a_status_is_written_only_to_the_version_that_was_read(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        read = await cluster.apply(a_deployment(namespace), existing_uid=None)
        status = {**read, "status": {"observedGeneration": 7}}
        change = {"metadata": {"annotations": {"changed": "yes"}}}
        await somebody.patch(DEPLOYMENT, namespace, "digits", change)
        with pytest.raises(ChangedUnderneath):
            await cluster.apply_status(status, resource_version=version(read))
        written = await written_at_last(cluster, status)
        assert written["status"]["observedGeneration"] == 7
        assert ours(written) == ours(read)

    async def test_replicas_belong_to_the_scaler_and_survive_our_apply(
        self, cluster: Cluster, namespace: str
    ) -> None:
        made = await cluster.apply(a_deployment(namespace), existing_uid=None)
        uid = made["metadata"]["uid"]
        assert made["spec"]["replicas"] == 1
        await cluster.scale(namespace, "digits", uid=uid, replicas=3)
        again = await cluster.apply(a_deployment(namespace), existing_uid=uid)
        assert again["spec"]["replicas"] == 3
        await cluster.scale(namespace, "digits", uid=uid, replicas=0)
        assert (await live(cluster, made))["spec"]["replicas"] == 0

    async def test_replicas_are_not_written_to_a_version_that_is_old(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        made = await cluster.apply(a_deployment(namespace), existing_uid=None)
        change = {"metadata": {"annotations": {"changed": "yes"}}}
        await somebody.patch(DEPLOYMENT, namespace, "digits", change)
        with pytest.raises(ChangedUnderneath):
            await cluster.scale(
                namespace,
                "digits",
                uid=made["metadata"]["uid"],
                replicas=0,
                resource_version=version(made),
            )

    async def test_what_is_created_twice_is_a_conflict(
        self, cluster: Cluster, namespace: str
    ) -> None:
        await cluster.create(a_service_account(namespace))
        with pytest.raises(ConflictError):
            await cluster.create(a_service_account(namespace))

    async def test_a_dry_run_creates_nothing(self, cluster: Cluster, namespace: str) -> None:
        await cluster.create(a_deployment(namespace), dry_run=True)
        assert await cluster.get(DEPLOYMENT, namespace, "digits") is None

    async def test_objects_are_listed_by_labels_and_say_what_they_are(
        self, cluster: Cluster, namespace: str
    ) -> None:
        await cluster.create(a_deployment(namespace))
        assert await cluster.list(DEPLOYMENT, namespace, {names.LABEL_OWNER: "faces"}) == []
        found = await cluster.list(DEPLOYMENT, namespace, {names.LABEL_OWNER: "digits"})
        assert [(item["kind"], item["metadata"]["name"]) for item in found] == [
            ("Deployment", "digits")
        ]

    async def test_what_an_owner_leaves_behind_is_collected(
        self, cluster: Cluster, somebody: Somebody, namespace: str
    ) -> None:
        owner = await cluster.create(a_service_account(namespace, "owner"))
        uid = owner["metadata"]["uid"]
        owned = a_service_account(namespace)
        owned["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "name": "owner", "uid": uid}
        ]
        await cluster.create(owned)
        await cluster.delete(SERVICE_ACCOUNT, namespace, "owner", uid=uid)
        await somebody.collect()
        async with asyncio.timeout(90):
            while await cluster.get(SERVICE_ACCOUNT, namespace, "digits"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
