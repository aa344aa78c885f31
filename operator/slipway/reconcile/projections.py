"""Kubernetes objects → facts. The only place of a pass that looks inside manifests."""

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
from slipway.api.snapshot import RevisionSnapshot
from slipway.api.times import from_wire
from slipway.engine.managed_fields import hash_owned_fields
from slipway.policy.facts import (
    AutoscalerFact,
    Exit,
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


@dataclass(frozen=True, slots=True)
class InvalidModelDeployment:
    """A ModelDeployment that its own schema refuses: stored before a rule existed."""

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
    """A Job without what its pod left."""

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
    end: Exit | None


@dataclass(frozen=True, slots=True)
class PlainObject:
    """An object of which only its existence matters."""

    meta: Meta
    kind: str


@dataclass(frozen=True, slots=True)
class RouterWorkload:
    """The Deployment of a namespace's router."""

    meta: Meta
    ready: int
    is_complete: bool
    """All of its pods are of the newest template, and ready."""
    agent: AgentMark | None
    failure: str | None = None
    """Message of its ReplicaFailure condition: quota, admission."""
    is_stuck: bool = False
    """Refused, or nothing has come of its newest template for ten minutes."""


def project_object(kind: Kind, manifest: Manifest) -> object:
    """Return the fact that is kept of an object; None: of no interest."""
    return PROJECTIONS[kind](manifest)


def read_meta(manifest: Manifest) -> Meta:
    """Return identity and ownership."""
    metadata = manifest["metadata"]
    owners = metadata.get("ownerReferences") or ()
    controller = next((owner["uid"] for owner in owners if owner.get("controller")), None)
    annotations = metadata.get("annotations") or {}
    return Meta(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=controller,
        managed=(metadata.get("labels") or {}).get(names.MANAGED_BY) == names.MANAGER,
        deleting="deletionTimestamp" in metadata,
        applied_hash=annotations.get(names.ANNOTATION_HASH),
        fields_hash=hash_owned_fields(
            manifest, names.FIELD_MANAGER, ignored_annotation=names.ANNOTATION_EPOCH
        ),
    )


def _model_deployment(manifest: Manifest) -> ModelDeployment | InvalidModelDeployment:
    try:
        return share_field_sets(ModelDeployment.model_validate(manifest))
    except ValidationError as error:
        problem = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
            for issue in error.errors()
        )
        return InvalidModelDeployment(
            read_meta(manifest), manifest["metadata"].get("generation", 0), problem
        )


def _route(manifest: Manifest) -> RouteFact:
    route = ModelRoute.model_validate(manifest)
    return RouteFact(
        meta=read_meta(manifest),
        generation=manifest["metadata"]["generation"],
        port=route.spec.port,
        weights={backend.revision: backend.weight for backend in route.spec.backends},
        min_endpoints={item.revision: item.min_endpoints for item in route.spec.backends},
        candidate=route.spec.candidate,
        proxies=tuple(
            ProxyFact(
                name=proxy.name,
                uid=proxy.uid,
                generation=proxy.generation,
                weights=proxy.effective_weights,
                error=proxy.error,
                at=_moment(proxy.at),
            )
            for proxy in route.status.proxies
        ),
        epoch=(manifest["metadata"].get("annotations") or {}).get(names.ANNOTATION_EPOCH),
    )


def _revision(manifest: Manifest) -> StoredRevision:
    snapshot = RevisionSnapshot.model_validate(manifest["data"])
    annotations = manifest["metadata"].get("annotations") or {}
    outcome, _, moment = annotations.get(names.ANNOTATION_OUTCOME, "").partition("@")
    fact = RevisionFact(
        meta=read_meta(manifest),
        snapshot=share_field_sets(snapshot.model_copy(update={"deployment": {}, "service": {}})),
        created=_moment(manifest["metadata"]["creationTimestamp"]),
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        outcome_at=from_wire(moment) if moment else None,
    )
    hashes = {
        kinds.DEPLOYMENT.kind: sha256_of(snapshot.deployment)[:16],
        kinds.SERVICE.kind: sha256_of(snapshot.service)[:16],
    }
    return StoredRevision(fact, hashes)


def _deployment(manifest: Manifest) -> WorkloadFact | RouterWorkload:
    labels = manifest["metadata"].get("labels") or {}
    status = manifest.get("status", {})
    meta = read_meta(manifest)
    if labels.get(names.LABEL_COMPONENT) == names.COMPONENT_ROUTER:
        wanted = manifest["spec"].get("replicas", 1)
        ready = status.get("readyReplicas", 0)
        is_new = status.get("observedGeneration", 0) >= manifest["metadata"]["generation"]
        updated = status.get("updatedReplicas", 0)
        is_complete = is_new and min(ready, updated) >= wanted
        failure = _refused(status)
        return RouterWorkload(
            meta,
            ready,
            is_complete,
            _agent(manifest),
            failure,
            is_stuck=is_new and (failure is not None or _gave_up(status)),
        )
    found = {entry["type"]: entry for entry in status.get("conditions") or ()}
    available = found.get("Available", {})
    moment = _moment(available["lastTransitionTime"]) if available else None
    return WorkloadFact(
        meta=meta,
        revision=labels.get(names.LABEL_REVISION, ""),
        replicas=manifest["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        unavailable_since=moment if available.get("status") == "False" else None,
        settled=status.get("observedGeneration", 0) >= manifest["metadata"]["generation"],
        failure=_refused(status),
    )


def _refused(status: Manifest) -> str | None:
    """Return why the pods of a Deployment are refused."""
    found = {entry["type"]: entry for entry in status.get("conditions") or ()}
    failure = found.get("ReplicaFailure", {})
    return failure.get("message") if failure.get("status") == "True" else None


def _gave_up(status: Manifest) -> bool:
    """Return whether a Deployment is past its progress deadline."""
    return any(
        (entry["type"], entry["status"]) == ("Progressing", "False")
        for entry in status.get("conditions") or ()
    )


def _job(manifest: Manifest) -> JobObject:
    annotations = manifest["metadata"].get("annotations") or {}
    found = {
        entry["type"]: entry
        for entry in manifest.get("status", {}).get("conditions") or ()
        if entry["status"] == "True"
    }
    end = found.get("Complete") or found.get("Failed")
    state = JobState.ACTIVE
    if end is not None:
        state = JobState.COMPLETE if "Complete" in found else JobState.FAILED
    return JobObject(
        meta=read_meta(manifest),
        component=manifest["metadata"]["labels"].get(names.LABEL_COMPONENT, ""),
        subject=annotations.get(ANNOTATION_SUBJECT, ""),
        attempt=int(annotations.get(ANNOTATION_ATTEMPT, "1")),
        state=state,
        finished=_moment(end["lastTransitionTime"]) if end else None,
        failure=end.get("message", "") if end else "",
        created=_moment(manifest["metadata"]["creationTimestamp"]),
    )


def _pod(manifest: Manifest) -> PodFact | JobPod:
    metadata, status = manifest["metadata"], manifest.get("status", {})
    labels = metadata.get("labels") or {}
    component = labels.get(names.LABEL_COMPONENT, "")
    statuses = {
        entry["name"]: entry
        for field in ("initContainerStatuses", "containerStatuses")
        for entry in status.get(field) or ()
    }
    main = statuses.get(MAIN_CONTAINERS.get(component, ""), {})
    job = labels.get("batch.kubernetes.io/job-name")
    meta = read_meta(manifest)
    if job is not None:
        return JobPod(meta, job, _moment(metadata["creationTimestamp"]), _end(main))
    found = {entry["type"]: entry for entry in status.get("conditions") or ()}
    ready, scheduled = found.get("Ready", {}), found.get("PodScheduled", {})
    is_ready = ready.get("status") == "True"
    is_running = "running" in main.get("state", {})
    ended = "terminated" in main.get("state", {})
    started = main.get("started") or (main.get("restartCount", 0) > 0 and is_ready)
    return PodFact(
        meta=meta,
        revision=labels.get(names.LABEL_REVISION),
        address=status.get("podIP"),
        created=_moment(metadata["creationTimestamp"]),
        ready=is_ready,
        ever_ready=bool(started),
        running=is_running,
        not_ready_since=_moment(ready["lastTransitionTime"]) if ready and not is_ready else None,
        exits=main.get("restartCount", 0) + (1 if ended else 0),
        last_exit=_end(main),
        waiting=_waiting(statuses),
        fetch_exit=_end(statuses.get("fetch", {})),
        unschedulable=(
            scheduled.get("message", "") if scheduled.get("status") == "False" else None
        ),
    )


def _agent(manifest: Manifest) -> AgentMark | None:
    text = (manifest["metadata"].get("annotations") or {}).get(names.ANNOTATION_AGENT)
    return AgentMark.parse(text) if text is not None else None


def _end(container: Mapping[str, Any]) -> Exit | None:
    for field in ("state", "lastState"):
        end = container.get(field, {}).get("terminated")
        if end is not None:
            return Exit(end.get("exitCode", 0), end.get("reason", ""), end.get("message", ""))
    return None


def _waiting(statuses: Mapping[str, Any]) -> tuple[str, str] | None:
    for entry in statuses.values():
        waiting = entry.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in {"PodInitializing", "ContainerCreating", None}:
            return waiting["reason"], waiting.get("message", "")
    return None


def _autoscaler(manifest: Manifest) -> AutoscalerFact:
    status = manifest.get("status", {})
    found = {entry["type"]: entry for entry in status.get("conditions") or ()}
    active, limited = found.get("ScalingActive", {}), found.get("ScalingLimited", {})
    values = [
        entry["resource"]["current"].get("averageUtilization")
        for entry in status.get("currentMetrics") or ()
        if entry.get("type") == "Resource"
    ]
    problem = None
    if not active:
        problem = (
            "NotEvaluated: the HorizontalPodAutoscaler was not looked at by its controller yet"
        )
    elif active.get("status") != "True" and active.get("reason") != "ScalingDisabled":
        problem = f"{active['reason']}: {active.get('message', '')}"
    return AutoscalerFact(
        meta=read_meta(manifest),
        revision=(manifest["metadata"].get("labels") or {}).get(names.LABEL_REVISION, ""),
        desired=status.get("desiredReplicas", 0),
        value=values[0] if values else None,
        limited=limited.get("reason") if limited.get("status") == "True" else None,
        problem=problem,
    )


def _plain(kind: str) -> Callable[[Manifest], PlainObject]:
    def projection(manifest: Manifest) -> PlainObject:
        return PlainObject(read_meta(manifest), kind)

    return projection


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


PROJECTIONS: Mapping[Kind, Callable[[Manifest], object]] = {
    kinds.MODEL_DEPLOYMENT: _model_deployment,
    kinds.MODEL_ROUTE: _route,
    kinds.CONTROLLER_REVISION: _revision,
    kinds.DEPLOYMENT: _deployment,
    kinds.JOB: _job,
    kinds.POD: _pod,
    kinds.SERVICE: _plain("Service"),
    kinds.SERVICE_ACCOUNT: _plain("ServiceAccount"),
    kinds.POD_DISRUPTION_BUDGET: _plain("PodDisruptionBudget"),
    kinds.HORIZONTAL_POD_AUTOSCALER: _autoscaler,
}
