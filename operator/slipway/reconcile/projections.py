"""Projects Kubernetes objects to facts; the only place of a pass that looks inside manifests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from slipway.api import kinds, names
from slipway.api.base import Manifest, share_field_sets
from slipway.api.canonical_json import sha256_of
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import ModelDeployment, Outcome
from slipway.api.modelroute import ModelRoute
from slipway.api.reasons import Reason
from slipway.api.snapshot import RevisionSnapshot
from slipway.api.times import from_wire
from slipway.engine.managed_fields import hash_owned_fields
from slipway.policy.facts import (
    AutoscalerFact,
    ContainerExit,
    JobState,
    Meta,
    PodFact,
    ProxyFact,
    RevisionFact,
    RouteFact,
    WorkloadFact,
)
from slipway.render.router import AgentMark

ANNOTATION_SUBJECT = f"{names.GROUP}/subject"
ANNOTATION_ATTEMPT = f"{names.GROUP}/attempt"
MAIN_CONTAINERS = {
    names.COMPONENT_SERVER: "triton",
    names.COMPONENT_ROUTER: "envoy",
    names.COMPONENT_PACKAGE: "package",
    names.COMPONENT_CHECK: "check",
}
NOT_EVALUATED = (Reason.NOT_EVALUATED.value, "waiting for the HorizontalPodAutoscaler's controller")


@dataclass(frozen=True, slots=True)
class InvalidModelDeployment:
    """A ModelDeployment that its own schema rejects: stored before a rule existed."""

    meta: Meta
    generation: int
    problem: str


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """A ControllerRevision, and the hashes of the objects that it holds."""

    fact: RevisionFact
    hashes: Mapping[str, str]
    """Of the Deployment and the Service, by kind."""


@dataclass(frozen=True, slots=True)
class JobObject:
    """A Job, without the result that its pod left."""

    meta: Meta
    component: str
    subject: str
    attempt: int
    state: JobState
    finished: datetime | None
    failure: str
    created: datetime


@dataclass(frozen=True, slots=True)
class JobPod:
    """The pod of a Job."""

    meta: Meta
    job: str
    created: datetime
    end: ContainerExit | None
    waits: str | None = None
    """Why it has not started, in words."""
    address: str | None = None
    """While it runs."""


@dataclass(frozen=True, slots=True)
class PlainObject:
    """An object of which only the existence matters."""

    meta: Meta
    kind: str


@dataclass(frozen=True, slots=True)
class RouterWorkload:
    """The Deployment of a namespace's router."""

    meta: Meta
    ready: int
    is_complete: bool
    """All of its pods have the newest template and are ready."""
    agent: AgentMark | None
    failure: str | None = None
    """Message of its ReplicaFailure condition: quota, admission."""
    is_stuck: bool = False
    """Its pods are refused, or its newest template has made no progress for ten minutes."""


def project_object(kind: Kind, manifest: Manifest) -> object:
    """Return the fact that is kept of an object; None: nothing of it is kept."""
    return PROJECTIONS[kind](manifest)


def read_meta(manifest: Manifest) -> Meta:
    """Return identity and ownership."""
    metadata = manifest["metadata"]
    owners = metadata.get("ownerReferences") or ()
    controller = next((owner["uid"] for owner in owners if owner.get("controller")), None)

    return Meta(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=controller,
        managed=_labels(manifest).get(names.MANAGED_BY) == names.MANAGER,
        deleting="deletionTimestamp" in metadata,
        applied_hash=_annotations(manifest).get(names.ANNOTATION_HASH),
        fields_hash=hash_owned_fields(
            manifest, names.FIELD_MANAGER, ignored_annotation=names.ANNOTATION_EPOCH
        ),
    )


def hash_manifest(manifest: Manifest) -> str:
    """Return the hash that an applied object carries of its manifest."""
    return sha256_of(manifest)[:16]


def _project_model_deployment(manifest: Manifest) -> ModelDeployment | InvalidModelDeployment:
    try:
        return share_field_sets(ModelDeployment.model_validate(manifest))
    except ValidationError as error:
        problem = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
            for issue in error.errors()
        )
        generation = manifest["metadata"].get("generation", 0)
        return InvalidModelDeployment(read_meta(manifest), generation, problem)


def _project_route(manifest: Manifest) -> RouteFact:
    route = ModelRoute.model_validate(manifest)
    proxies = tuple(
        ProxyFact(
            name=proxy.name,
            uid=proxy.uid,
            generation=proxy.generation,
            weights=proxy.effective_weights,
            error=proxy.error,
            credentials=tuple(proxy.credentials or ()),
            holds=proxy.asleep is not None,
            is_asked=proxy.asleep is not None and proxy.asleep.asked_at is not None,
            reported_at=from_wire(proxy.at),
        )
        for proxy in route.status.proxies
    )

    return RouteFact(
        meta=read_meta(manifest),
        generation=manifest["metadata"]["generation"],
        port=route.spec.port,
        weights={backend.revision: backend.weight for backend in route.spec.backends},
        min_endpoints={item.revision: item.min_endpoints for item in route.spec.backends},
        candidate=route.spec.candidate,
        proxies=proxies,
        epoch=_annotations(manifest).get(names.ANNOTATION_EPOCH),
        tls=route.spec.tls,
        access=route.spec.access,
        shadow=route.spec.shadow.revision if route.spec.shadow is not None else None,
        asleep=route.spec.asleep is not None,
    )


def _project_revision(manifest: Manifest) -> StoredRevision:
    snapshot = RevisionSnapshot.model_validate(manifest["data"])
    outcome, _, moment = _annotations(manifest).get(names.ANNOTATION_OUTCOME, "").partition("@")

    # of the objects in the snapshot only the hashes are kept: they are large
    fact = RevisionFact(
        meta=read_meta(manifest),
        snapshot=share_field_sets(snapshot.model_copy(update={"deployment": {}, "service": {}})),
        created=_parse_time(manifest["metadata"]["creationTimestamp"]),
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        outcome_at=from_wire(moment) if moment else None,
    )
    hashes = {
        kinds.DEPLOYMENT.kind: hash_manifest(snapshot.deployment),
        kinds.SERVICE.kind: hash_manifest(snapshot.service),
    }
    return StoredRevision(fact, hashes)


def _project_deployment(manifest: Manifest) -> WorkloadFact | RouterWorkload:
    is_router = _labels(manifest).get(names.LABEL_COMPONENT) == names.COMPONENT_ROUTER
    return _project_router(manifest) if is_router else _project_workload(manifest)


def _project_router(manifest: Manifest) -> RouterWorkload:
    status = manifest.get("status", {})
    conditions = _conditions(manifest)
    mark = _annotations(manifest).get(names.ANNOTATION_AGENT)

    is_observed = _is_observed(manifest)
    wanted, ready = manifest["spec"].get("replicas", 1), status.get("readyReplicas", 0)
    failure = _replica_failure(conditions)
    gave_up = conditions.get("Progressing", {}).get("status") == "False"

    return RouterWorkload(
        meta=read_meta(manifest),
        ready=ready,
        is_complete=is_observed and min(ready, status.get("updatedReplicas", 0)) >= wanted,
        agent=AgentMark.parse(mark) if mark is not None else None,
        failure=failure,
        is_stuck=is_observed and (failure is not None or gave_up),
    )


def _project_workload(manifest: Manifest) -> WorkloadFact:
    conditions = _conditions(manifest)
    return WorkloadFact(
        meta=read_meta(manifest),
        revision=_labels(manifest).get(names.LABEL_REVISION, ""),
        replicas=manifest["spec"].get("replicas", 1),
        ready=manifest.get("status", {}).get("readyReplicas", 0),
        settled=_is_observed(manifest),
        failure=_replica_failure(conditions),
        may_have_scaled_object=_annotations(manifest).get(names.ANNOTATION_SCALED_OBJECT) == "true",
    )


def _project_job(manifest: Manifest) -> JobObject:
    metadata, annotations = manifest["metadata"], _annotations(manifest)
    true = {name for name, entry in _conditions(manifest).items() if entry["status"] == "True"}
    state = JobState.ACTIVE
    if true & {"Complete", "Failed"}:
        state = JobState.COMPLETE if "Complete" in true else JobState.FAILED
    end = _conditions(manifest)[state.value] if state is not JobState.ACTIVE else None

    return JobObject(
        meta=read_meta(manifest),
        component=_labels(manifest).get(names.LABEL_COMPONENT, ""),
        subject=annotations.get(ANNOTATION_SUBJECT, ""),
        attempt=int(annotations.get(ANNOTATION_ATTEMPT, "1")),
        state=state,
        finished=_parse_time(end["lastTransitionTime"]) if end else None,
        failure=end.get("message", "") if end else "",
        created=_parse_time(metadata["creationTimestamp"]),
    )


def _project_pod(manifest: Manifest) -> PodFact | JobPod:
    metadata, status, labels = manifest["metadata"], manifest.get("status", {}), _labels(manifest)
    meta, created = read_meta(manifest), _parse_time(metadata["creationTimestamp"])
    containers = {
        entry["name"]: entry
        for field in ("initContainerStatuses", "containerStatuses")
        for entry in status.get(field) or ()
    }
    main = containers.get(MAIN_CONTAINERS.get(labels.get(names.LABEL_COMPONENT, ""), ""), {})

    conditions = _conditions(manifest)
    ready, scheduled = conditions.get("Ready", {}), conditions.get("PodScheduled", {})
    unschedulable = scheduled.get("message", "") if scheduled.get("status") == "False" else None
    waiting, needs = _waiting_reason(containers), _needs_before_start(manifest, conditions)

    job = labels.get("batch.kubernetes.io/job-name")
    if job is not None:
        waits = _describe_wait(waiting, unschedulable, needs)
        address = status.get("podIP") if _is_running(main) else None
        return JobPod(meta, job, created, _container_exit(main), waits, address)

    is_ready = ready.get("status") == "True"
    has_ended = "terminated" in main.get("state", {})
    restarts = main.get("restartCount", 0)
    return PodFact(
        meta=meta,
        revision=labels.get(names.LABEL_REVISION),
        address=status.get("podIP"),
        created=created,
        ready=is_ready,
        ever_ready=bool(main.get("started") or (restarts > 0 and is_ready)),
        running=_is_running(main),
        not_ready_since=(
            _parse_time(ready["lastTransitionTime"]) if ready and not is_ready else None
        ),
        exits=restarts + (1 if has_ended else 0),
        last_exit=_container_exit(main),
        waiting=waiting,
        fetch_exit=_container_exit(containers.get("fetch", {})),
        unschedulable=unschedulable,
        needs=needs,
        fetches=_is_running(containers.get("fetch", {})),
        ended=status.get("phase") in {"Failed", "Succeeded"},
        model=labels.get(names.LABEL_OWNER),
    )


def _project_autoscaler(manifest: Manifest) -> AutoscalerFact:
    status, conditions = manifest.get("status", {}), _conditions(manifest)
    limited, active = conditions.get("ScalingLimited", {}), conditions.get("ScalingActive", {})
    owners = manifest["metadata"].get("ownerReferences") or ()
    values = [
        entry["resource"]["current"].get("averageUtilization")
        for entry in status.get("currentMetrics") or ()
        if entry.get("type") == "Resource"
    ]

    return AutoscalerFact(
        meta=read_meta(manifest),
        revision=_labels(manifest).get(names.LABEL_REVISION, ""),
        desired=status.get("desiredReplicas", 0),
        value=values[0] if values else None,
        limited=limited.get("reason") if limited.get("status") == "True" else None,
        problem=_scaling_problem(active),
        measures=active.get("status") == "True",
        least=manifest["spec"].get("minReplicas", 1),
        is_kedas=any(owner.get("kind") == kinds.SCALED_OBJECT.kind for owner in owners),
    )


def _scaling_problem(active: Manifest) -> tuple[str, str] | None:
    if not active:
        return NOT_EVALUATED
    if active.get("status") == "True" or active.get("reason") == "ScalingDisabled":
        return None
    return active["reason"], active.get("message", "")


def _project_scaled_object(manifest: Manifest) -> AutoscalerFact:
    """Return what a ScaledObject says itself; the numbers are in the autoscaler that KEDA makes."""
    metadata, conditions = manifest["metadata"], _conditions(manifest)
    deleted = metadata.get("deletionTimestamp")
    problem = _keda_problem(metadata["name"], conditions)

    return AutoscalerFact(
        meta=read_meta(manifest),
        revision=_labels(manifest).get(names.LABEL_REVISION, ""),
        desired=0,
        value=None,
        limited=None,
        problem=problem,
        measures=problem is None,
        kind=kinds.SCALED_OBJECT.kind,
        is_kedas=True,
        leaving_since=_parse_time(deleted) if deleted else None,
    )


def _keda_problem(name: str, conditions: Mapping[str, Manifest]) -> tuple[str, str] | None:
    ready, paused = conditions.get("Ready", {}), conditions.get("Paused", {})
    if paused.get("status") == "True":
        return paused.get("reason") or "Paused", f"ScaledObject {name}: {paused.get('message', '')}"
    if ready.get("status") == "True":
        return None
    if ready.get("status") == "False":
        return ready.get("reason") or "NotReady", f"ScaledObject {name}: {ready.get('message', '')}"
    return Reason.NOT_EVALUATED.value, f"waiting for KEDA to look at ScaledObject {name}"


def _project_plain(kind: Kind) -> Callable[[Manifest], PlainObject]:
    def projection(manifest: Manifest) -> PlainObject:
        return PlainObject(read_meta(manifest), kind.kind)

    return projection


def _labels(manifest: Manifest) -> Mapping[str, str]:
    return manifest["metadata"].get("labels") or {}


def _annotations(manifest: Manifest) -> Mapping[str, str]:
    return manifest["metadata"].get("annotations") or {}


def _conditions(manifest: Manifest) -> Mapping[str, Manifest]:
    """Return the conditions by type."""
    conditions = manifest.get("status", {}).get("conditions") or ()
    return {entry["type"]: entry for entry in conditions}


def _is_observed(manifest: Manifest) -> bool:
    """Return whether the Deployment's controller has seen the newest generation."""
    observed: int = manifest.get("status", {}).get("observedGeneration", 0)
    newest: int = manifest["metadata"]["generation"]
    return observed >= newest


def _replica_failure(conditions: Mapping[str, Manifest]) -> str | None:
    """Return why the pods of a Deployment are refused."""
    failure = conditions.get("ReplicaFailure", {})
    return failure.get("message") if failure.get("status") == "True" else None


def _container_exit(container: Mapping[str, Any]) -> ContainerExit | None:
    for field in ("state", "lastState"):
        end = container.get(field, {}).get("terminated")
        if end is not None:
            return ContainerExit(
                end.get("exitCode", 0), end.get("reason", ""), end.get("message", "")
            )
    return None


def _is_running(container: Mapping[str, Any]) -> bool:
    return "running" in container.get("state", {})


def _waiting_reason(containers: Mapping[str, Any]) -> tuple[str, str] | None:
    for entry in containers.values():
        waiting = entry.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in {"PodInitializing", "ContainerCreating", None}:
            return waiting["reason"], waiting.get("message", "")
    return None


def _describe_wait(
    waiting: tuple[str, str] | None, unschedulable: str | None, needs: str | None
) -> str | None:
    if waiting is not None:
        return ": ".join(part for part in waiting if part)
    if unschedulable is not None:
        return f"it is unschedulable: {unschedulable}"
    return f"it is waiting for {needs}" if needs is not None else None


def _needs_before_start(manifest: Manifest, conditions: Mapping[str, Manifest]) -> str | None:
    """Return what a pod waits for before a container of it can be created.

    Which of them is missing stands in the pod's events alone. A pod whose devices are missing is
    not even taken up by the scheduler, and has no condition at all.
    """
    spec = manifest.get("spec", {})
    if manifest.get("status", {}).get("phase") != "Pending":
        return None

    if "PodScheduled" not in conditions:
        claims = [_name_claim(claim) for claim in spec.get("resourceClaims") or ()]
        return ", ".join(claims) or None
    if conditions.get("PodReadyToStartContainers", {}).get("status") != "False":
        return None
    volumes = [_name_volume(volume) for volume in spec.get("volumes") or ()]
    return ", ".join(name for name in volumes if name is not None) or None


def _name_claim(claim: Manifest) -> str:
    template = claim.get("resourceClaimTemplateName")
    if template is not None:
        return f"ResourceClaimTemplate {template}"
    return f"ResourceClaim {claim.get('resourceClaimName', '')}"


def _name_volume(volume: Manifest) -> str | None:
    """Return what a volume is made from; None for one that needs nothing."""
    if "secret" in volume:
        return f"Secret {volume['secret'].get('secretName', '')}"
    if "configMap" in volume:
        return f"ConfigMap {volume['configMap'].get('name', '')}"
    if "persistentVolumeClaim" in volume:
        return f"PersistentVolumeClaim {volume['persistentVolumeClaim'].get('claimName', '')}"
    if "csi" in volume:
        return f"CSI driver {volume['csi'].get('driver', '')}"
    return None


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


PROJECTIONS: Mapping[Kind, Callable[[Manifest], object]] = {
    kinds.MODEL_DEPLOYMENT: _project_model_deployment,
    kinds.MODEL_ROUTE: _project_route,
    kinds.CONTROLLER_REVISION: _project_revision,
    kinds.DEPLOYMENT: _project_deployment,
    kinds.JOB: _project_job,
    kinds.POD: _project_pod,
    kinds.SERVICE: _project_plain(kinds.SERVICE),
    kinds.SERVICE_ACCOUNT: _project_plain(kinds.SERVICE_ACCOUNT),
    kinds.POD_DISRUPTION_BUDGET: _project_plain(kinds.POD_DISRUPTION_BUDGET),
    kinds.HORIZONTAL_POD_AUTOSCALER: _project_autoscaler,
    kinds.SCALED_OBJECT: _project_scaled_object,
}
