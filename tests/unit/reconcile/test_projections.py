"""From a Deployment as the cluster stores it to what the user reads."""

from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.policy.facts import PodFact, WorkloadFact
from slipway.policy.rollout.decide import decide
from slipway.policy.status import desired_status
from slipway.reconcile.projections import JobPod, RouterWorkload, project_object

from tests.builders import NOON, a_model_deployment, a_revision, a_route, facts_about, later

OBJECT = a_model_deployment("1")
REVISION = a_revision(OBJECT)
QUOTAS = {
    "cpu": "requested: requests.cpu=100m, used: requests.cpu=2, limited: requests.cpu=2",
    "memory": "requested: requests.memory=512Mi, used: requests.memory=1Gi, limited: "
    "requests.memory=1Gi",
    "pods": "requested: pods=1, used: pods=4, limited: pods=4",
}


def refusal(quota: str) -> str:
    return (
        f'pods "digits-{REVISION.name}-6b8f7c9d5-q7x2z" is forbidden: '
        f"exceeded quota: compute, {QUOTAS[quota]}"
    )


def a_condition(kind: str, status: str, reason: str, message: str) -> Manifest:
    moment = "2026-11-21T12:00:01Z"
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
    }


def a_deployment(component: str, *conditions: Manifest, **status: Any) -> Manifest:
    name = f"digits-{REVISION.name}"
    labels = {
        names.MANAGED_BY: names.MANAGER,
        names.LABEL_OWNER: "digits",
        names.LABEL_REVISION: REVISION.name,
        names.LABEL_COMPONENT: component,
    }

    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "vision",
            "uid": "0b0e7c1e-7c55-4a6b-9d7e-2f4f5f1c9a10",
            "resourceVersion": "4711",
            "generation": 1,
            "labels": labels,
        },
        "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}, "spec": {}}},
        "status": {"observedGeneration": 1, "conditions": list(conditions), **status},
    }


def refused(component: str, quota: str = "cpu") -> Manifest:
    """Return what the Deployment's controller leaves where a ResourceQuota admits no pod."""
    created = f'Created new replica set "digits-{REVISION.name}-6b8f7c9d5"'
    unavailable = "Deployment does not have minimum availability."
    return a_deployment(
        component,
        a_condition("Progressing", "True", "NewReplicaSetCreated", created),
        a_condition("Available", "False", "MinimumReplicasUnavailable", unavailable),
        a_condition("ReplicaFailure", "True", "FailedCreate", refusal(quota)),
        unavailableReplicas=1,
    )


@pytest.mark.parametrize("quota", QUOTAS)
def test_the_quota_that_refuses_pods_is_what_the_user_reads(quota: str) -> None:
    workload = project_object(kinds.DEPLOYMENT, refused(names.COMPONENT_SERVER, quota))
    assert isinstance(workload, WorkloadFact)

    facts = facts_about(
        OBJECT,
        revisions={REVISION.name: REVISION},
        workloads={REVISION.name: workload},
        route=a_route({}),
    )
    status = desired_status(decide(facts, later(60)), facts, None, NOON)
    found = {entry.type: entry for entry in status.conditions}

    for kind in ("Ready", "Reconciling"):
        assert found[kind].reason == "PodsRefused"
        assert found[kind].message == f"pods are refused: {refusal(quota)}"
    missing = f"1 of 1 replicas do not fit: exceeded quota: compute, {QUOTAS[quota]}"
    assert found["CapacityReady"].message == f"{REVISION.name}: 0 of 1 ready; {missing}"
    assert "Stalled" not in found, "there may be room later"


def test_pods_that_were_admitted_in_the_end_are_no_failure_any_more() -> None:
    known = a_condition("ReplicaFailure", "False", "FailedCreate", refusal("cpu"))
    healed = a_deployment(names.COMPONENT_SERVER, known, readyReplicas=1, replicas=1)
    workload = project_object(kinds.DEPLOYMENT, healed)
    assert isinstance(workload, WorkloadFact)
    assert (workload.failure, workload.ready) == (None, 1)


def test_a_router_whose_pods_are_refused_says_so() -> None:
    router = project_object(kinds.DEPLOYMENT, refused(names.COMPONENT_ROUTER))
    assert isinstance(router, RouterWorkload)
    assert router.failure == refusal("cpu")


def a_pending_pod(*conditions: Manifest, job: str | None = None, **spec: Any) -> Manifest:
    labels = {names.LABEL_OWNER: "digits", names.LABEL_COMPONENT: names.COMPONENT_SERVER}
    if job is not None:
        labels["batch.kubernetes.io/job-name"] = job

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "digits-0",
            "namespace": "vision",
            "uid": "0b0e7c1e-7c55-4a6b-9d7e-2f4f5f1c9a11",
            "resourceVersion": "4712",
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "labels": labels,
        },
        "spec": spec,
        "status": {"phase": "Pending", "conditions": list(conditions)},
    }


VOLUMES = [
    {"name": "tmp", "emptyDir": {}},
    {"name": "key", "secret": {"secretName": "key"}},
    {"name": "words", "configMap": {"name": "words"}},
    {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}},
    {"name": "vault", "csi": {"driver": "vault.example"}},
]
SCHEDULED = a_condition("PodScheduled", "True", "", "")
NO_SANDBOX = a_condition("PodReadyToStartContainers", "False", "", "")


def test_a_pod_whose_volumes_are_missing_says_which_it_needs() -> None:
    pod = project_object(kinds.POD, a_pending_pod(SCHEDULED, NO_SANDBOX, volumes=VOLUMES))

    assert isinstance(pod, PodFact)
    assert pod.needs == (
        "Secret key, ConfigMap words, PersistentVolumeClaim cache, CSI driver vault.example"
    )


def test_a_pod_whose_devices_are_missing_says_which_it_needs() -> None:
    claims = [
        {"name": "a", "resourceClaimName": "gpu"},
        {"name": "b", "resourceClaimTemplateName": "one-nic"},
    ]
    pod = project_object(kinds.POD, a_pending_pod(resourceClaims=claims, volumes=VOLUMES))

    assert isinstance(pod, PodFact)
    assert pod.needs == "ResourceClaim gpu, ResourceClaimTemplate one-nic"


def test_a_pod_that_waits_for_nothing_of_the_users_needs_nothing() -> None:
    only_ours = a_pending_pod(SCHEDULED, NO_SANDBOX, volumes=VOLUMES[:1])
    has_sandbox = a_pending_pod(SCHEDULED, volumes=VOLUMES)

    for manifest in (only_ours, has_sandbox, a_pending_pod(volumes=VOLUMES)):
        pod = project_object(kinds.POD, manifest)
        assert isinstance(pod, PodFact)
        assert pod.needs is None


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (
            a_pending_pod(SCHEDULED, NO_SANDBOX, job="package", volumes=VOLUMES[1:2]),
            "it is waiting for Secret key",
        ),
        (
            a_pending_pod(
                a_condition("PodScheduled", "False", "Unschedulable", "0/1 nodes"), job="package"
            ),
            "it is unschedulable: 0/1 nodes",
        ),
        (a_pending_pod(SCHEDULED, job="package"), None),
    ],
)
def test_the_pod_of_a_job_says_why_it_has_not_started(
    manifest: Manifest, words: str | None
) -> None:
    pod = project_object(kinds.POD, manifest)

    assert isinstance(pod, JobPod)
    assert pod.waits == words
