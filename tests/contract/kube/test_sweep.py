"""The uid sweep and the events against the real API server."""

import pytest
from slipway.adapters.connection import Connection
from slipway.adapters.events import KubeEvents
from slipway.adapters.kube import KubeCluster
from slipway.adapters.metadata import KubeMetadata, ref_of
from slipway.api.kinds import DEPLOYMENT, EVENT, MODEL_DEPLOYMENT, SERVICE_ACCOUNT
from slipway.engine.cache import Cache
from slipway.engine.recorder import EventRecorder
from slipway.engine.sweep import Sweep

from tests.contract.kube.objects import a_service_account

pytestmark = pytest.mark.cluster


async def test_a_sweep_sees_our_objects_with_identity_version_and_owner(
    connection: Connection, namespace: str
) -> None:
    cluster = KubeCluster(connection, fence=lambda: None)
    owner = await cluster.create(a_service_account(namespace, "owner"))
    owned = a_service_account(namespace, "owned")
    owned["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
    ]
    made = await cluster.create(owned)

    refs = await KubeMetadata(connection).refs(SERVICE_ACCOUNT, namespace)

    assert sorted(ref.name for ref in refs) == ["owned", "owner"], "'default' is not ours"
    assert ref_of(SERVICE_ACCOUNT, made) in refs
    assert next(ref for ref in refs if ref.name == "owned").owner == owner["metadata"]["uid"]


async def test_a_ghost_is_found(connection: Connection, namespace: str) -> None:
    cluster = KubeCluster(connection, fence=lambda: None)
    made = await cluster.create(a_service_account(namespace))
    ref = ref_of(SERVICE_ACCOUNT, made)
    cache = Cache()

    cache.store(ref, "projection")
    sweep = Sweep(
        cache,
        KubeMetadata(connection),
        (SERVICE_ACCOUNT, DEPLOYMENT),
        namespaces=[namespace],
        on_ghost=cache.remove,
    )
    await sweep.sweep()

    assert len(cache) == 1

    await cluster.delete(SERVICE_ACCOUNT, namespace, "digits", uid=ref.uid)
    await sweep.sweep()
    assert len(cache) == 0


async def test_an_event_is_written_once_also_by_a_restarted_process(
    connection: Connection, namespace: str
) -> None:
    cluster = KubeCluster(connection, fence=lambda: None)
    made = await cluster.create(a_service_account(namespace))
    for instance in ("before", "before", "after"):
        sink = KubeEvents(connection, fence=lambda: None, instance=instance)
        recorder = EventRecorder(sink)
        for _ in range(2):
            await recorder.record(made, warning=True, reason="Refused", message="expected 1")
    events = await cluster.list(EVENT, namespace, {})
    ours = [event for event in events if event["reason"] == "Refused"]
    assert [(event["count"], event["reportingInstance"]) for event in ours] == [(1, "before")]
    assert ours[0]["involvedObject"]["uid"] == made["metadata"]["uid"]


async def test_an_event_is_of_the_version_that_people_ask_by(
    connection: Connection, namespace: str
) -> None:
    read = MODEL_DEPLOYMENT.manifest(namespace, "digits", metadata={"uid": "0"})
    sink = KubeEvents(connection, fence=lambda: None, instance="only")
    await EventRecorder(sink).record(read, warning=False, reason="Promoted", message="version 1")

    events = await KubeCluster(connection, fence=lambda: None).list(EVENT, namespace, {})
    about = [it["involvedObject"] for it in events if it["reason"] == "Promoted"]
    assert [it["apiVersion"] for it in about] == ["slipway.dev/v1beta1"]
