"""Writes what was decided, in the order that loses no request, and nothing that is so already.

Capacity first, then weights, then what removes pods; what prepares the next revision comes last.
Each write is skipped where the object says that it was made: our hash is on it, and nobody has
touched our fields since.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import (
    ModelDeployment,
    ModelDeploymentStatus,
    Protocol,
    Server,
)
from slipway.api.modelroute import Backend
from slipway.api.names import revision_name
from slipway.api.snapshot import RevisionSnapshot
from slipway.errors import ChangedUnderneath, ConflictError, Refused, SpecError
from slipway.policy.capacity import needed
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts, JobState, Meta, WorkloadFact
from slipway.policy.gates import check_subject
from slipway.policy.identity import digest_of
from slipway.policy.times import to_wire
from slipway.reconcile import compose
from slipway.reconcile.observe import Children, has_service
from slipway.reconcile.ports import Cluster
from slipway.reconcile.project import (
    ANNOTATION_ATTEMPT,
    ANNOTATION_SUBJECT,
    StoredRevision,
    meta_of,
)
from slipway.render import jobs, routing
from slipway.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A write that was refused for good."""

    reason: str
    message: str
    is_beside: bool = False
    """Only what prepares the next revision was refused; all else of the decision is done."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What the writes of one pass follow from."""

    decision: Decision
    facts: Facts
    children: Children
    now: datetime


Step = Callable[[Pass], Awaitable[None]]


class Executor:
    """Turns decisions into writes."""

    def __init__(
        self, cluster: Cluster, settings: Settings, ports_of: Callable[[str], frozenset[int]]
    ) -> None:
        """`ports_of` returns the listener ports that are taken in a namespace."""
        self._cluster = cluster
        self._ports_of = ports_of
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._settings = settings
        self._touched: dict[str, str | None] = {}
        """Hash of our managedFields entry by uid, after our last apply or at first sight."""

    async def execute(
        self, decision: Decision, facts: Facts, children: Children, now: datetime
    ) -> Trouble | None:
        """Write everything but the status; return what was refused, if anything.

        Raises:
            DependencyError: the pass ends here, and the next one finds out what is left to do.

        """
        pass_ = Pass(decision, facts, children, now)
        route = self._make_route if facts.route is None else self._route
        trouble = await _attempt(pass_, self._mark_ended, self._add_capacity, route, self._remove)
        if trouble is not None:
            return trouble
        # last, so that a Job that nobody admits never stands before traffic that must come back
        trouble = await _attempt(pass_, self._revise, self._run_jobs)
        return replace(trouble, is_beside=True) if trouble is not None else None

    async def _revise(self, pass_: Pass) -> None:
        decision, facts = pass_.decision, pass_.facts
        if decision.revise is None:
            return
        snapshot = compose.snapshot_of(facts.object, decision.revise, self._settings)
        if _has_open_objects(facts.object):
            await self._cluster.create(snapshot.deployment, dry_run=True)
        await self._create(compose.controller_revision(facts.object, snapshot, pass_.now))

    async def _run_jobs(self, pass_: Pass) -> None:
        decision, facts = pass_.decision, pass_.facts
        object_ = facts.object
        if decision.package is not None:
            job = jobs.render_package_job(
                jobs.PackageJob(
                    owner=compose.owner_of(object_),
                    image=self._settings.operator_image,
                    input_hash=facts.input,
                    attempt=decision.package,
                    request=compose.package_request(object_, self._settings),
                    push_secret=_push_secret(object_),
                    pull_secrets=compose.pull_secrets(object_),
                )
            )
            await self._create(_about(job, facts.input, decision.package))
        if decision.check is not None and decision.candidate is not None:
            job = jobs.render_check_job(
                jobs.CheckJob(
                    owner=compose.owner_of(object_),
                    image=self._settings.operator_image,
                    revision=decision.candidate,
                    step=0,
                    attempt=decision.check,
                    request=compose.check_request(facts, decision.candidate, decision.stable),
                )
            )
            subject = check_subject(decision.candidate, facts.golden)
            await self._create(_about(job, subject, decision.check))

    async def _mark_ended(self, pass_: Pass) -> None:
        decision, facts = pass_.decision, pass_.facts
        for end in decision.ended:
            known = facts.revisions[end.revision]
            await self._cluster.annotate(
                kinds.CONTROLLER_REVISION,
                facts.object.metadata.namespace,
                known.meta.name,
                uid=known.meta.uid,
                annotations={names.ANNOTATION_OUTCOME: f"{end.outcome.value}@{to_wire(pass_.now)}"},
            )

    async def _add_capacity(self, pass_: Pass) -> None:
        decision, facts = pass_.decision, pass_.facts
        stored = {item.fact.name: item for item in pass_.children.of(StoredRevision)}
        for name, replicas in decision.replicas.items():
            revision = stored.get(name)
            if replicas and revision is not None:
                await self._apply_revision(revision, replicas, facts, pass_.children)

    async def _apply_revision(
        self, stored: StoredRevision, replicas: int, facts: Facts, children: Children
    ) -> None:
        namespace = facts.object.metadata.namespace
        name = stored.fact.meta.name
        running = facts.workloads.get(stored.fact.name)
        service = has_service(children, name)
        found: dict[Kind, Meta | None] = {
            kinds.SERVICE: service.meta if service else None,
            kinds.DEPLOYMENT: running.meta if running else None,
        }
        due = [kind for kind, meta in found.items() if self._is_due(meta, stored.hashes[kind.kind])]
        if due:
            snapshot = await self._snapshot(namespace, name)
            if snapshot is None:
                return
            desired = {kinds.SERVICE: snapshot.service, kinds.DEPLOYMENT: snapshot.deployment}
            for kind in due:
                await self._apply(desired[kind], stored.hashes[kind.kind], found[kind])
        await self._scale_up(running, name, replicas, namespace)

    async def _scale_up(
        self, running: WorkloadFact | None, name: str, replicas: int, namespace: str
    ) -> None:
        if running is None:
            if replicas == 1:
                return  # a new Deployment has one replica by itself
            made = await self._cluster.get(kinds.DEPLOYMENT, namespace, name)
            if made is not None:
                uid = made["metadata"]["uid"]
                await self._cluster.scale(namespace, name, uid=uid, replicas=replicas)
        elif running.replicas != replicas:
            await self._cluster.scale(namespace, name, uid=running.meta.uid, replicas=replicas)

    async def _snapshot(self, namespace: str, name: str) -> RevisionSnapshot | None:
        manifest = await self._cluster.get(kinds.CONTROLLER_REVISION, namespace, name)
        return RevisionSnapshot.model_validate(manifest["data"]) if manifest else None

    async def _route(self, pass_: Pass) -> None:
        decision, facts = pass_.decision, pass_.facts
        object_ = facts.object
        meta, route = object_.metadata, facts.route
        if route is None:
            return
        service = has_service(pass_.children, meta.name)
        server = object_.spec.server or Server()
        protocols = server.protocols or list(Protocol)
        desired = routing.render_client_service(compose.owner_of(object_), route.port, protocols)
        await self._apply_if_due(desired, service.meta if service else None)
        manifest = self._route_manifest(decision, facts, route.port)
        await self._apply_if_due(manifest, route.meta, of_this_version=True)

    def _route_manifest(self, decision: Decision, facts: Facts, port: int) -> Manifest:
        object_ = facts.object
        full = object_.spec.scaling.min_replicas
        meta = object_.metadata
        backends = [
            Backend(
                revision=name,
                service=revision_name(meta.name, name),
                weight=weight,
                min_endpoints=needed(weight, full)
                if name == decision.candidate
                else min(weight, 1),
            )
            for name, weight in decision.weights.items()
        ]
        return routing.render_model_route(
            compose.owner_of(object_),
            port=port,
            model=object_.model_name,
            timeout_seconds=object_.spec.traffic.timeout_seconds,
            candidate_header=object_.spec.traffic.candidate_header,
            candidate=decision.pinned,
            backends=tuple(backends),
        )

    async def _make_route(self, pass_: Pass) -> None:
        """Create the route with the lowest free port of the namespace."""
        namespace = pass_.facts.object.metadata.namespace
        async with self._locks[namespace]:
            taken = self._ports_of(namespace)
            port = next(number for number in names.ROUTE_PORTS if number not in taken)
            manifest = self._route_manifest(pass_.decision, pass_.facts, port)
            await self._apply(manifest, digest_of(manifest)[:16], None)

    async def _remove(self, pass_: Pass) -> None:
        decision, facts = pass_.decision, pass_.facts
        namespace = facts.object.metadata.namespace
        for name, replicas in decision.replicas.items():
            running = facts.workloads.get(name)
            if running is not None and replicas < running.replicas:
                await self._cluster.scale(
                    namespace,
                    running.meta.name,
                    uid=running.meta.uid,
                    replicas=replicas,
                    resource_version=running.meta.resource_version,
                )
        for job in facts.jobs:
            if self._is_over(job.subject, job.attempt, job.state, decision, facts):
                await self._cluster.delete(kinds.JOB, namespace, job.meta.name, uid=job.meta.uid)
        await self._trim(pass_)

    def _is_over(
        self, subject: str, attempt: int, state: JobState, decision: Decision, facts: Facts
    ) -> bool:
        """Whether the result is stored or nobody waits for it; the newest failure stays."""
        if "." in subject or len(subject) == 8:  # noqa: PLR2004 -- a revision
            waits = decision.candidate is not None and subject == check_subject(
                decision.candidate, facts.golden
            )
            if not waits or decision.memory.stage.value not in {"Starting", "Checking"}:
                return facts.object.status.rollout is not None
        elif subject != facts.input or facts.wanted is not None:
            return True
        newest = max(job.attempt for job in facts.jobs if job.subject == subject)
        return attempt < newest and state is not JobState.ACTIVE

    async def _trim(self, pass_: Pass) -> None:
        """Delete the oldest revisions beyond the limit; none that lives, waits or is remembered."""
        decision, facts = pass_.decision, pass_.facts
        kept = {decision.stable, decision.candidate, facts.wanted.name if facts.wanted else None}
        kept |= {name for name, number in decision.replicas.items() if number}
        kept |= set(facts.route.weights) if facts.route else set()
        old = sorted(
            (item for item in facts.revisions.values() if item.name not in kept),
            key=lambda item: item.created,
        )
        surplus = len(old) - facts.object.spec.rollback.history_limit
        namespace = facts.object.metadata.namespace
        for item in old[: max(0, surplus)]:
            name = item.meta.name
            running, service = facts.workloads.get(item.name), has_service(pass_.children, name)
            found = {
                kinds.DEPLOYMENT: running.meta if running else None,
                kinds.SERVICE: service.meta if service else None,
                kinds.CONTROLLER_REVISION: item.meta,
            }
            for kind, meta in found.items():
                if meta is not None:
                    await self._cluster.delete(kind, namespace, name, uid=meta.uid)

    async def _apply_if_due(
        self, manifest: Manifest, found: Meta | None, *, of_this_version: bool = False
    ) -> None:
        hash_ = digest_of(manifest)[:16]
        if not self._is_due(found, hash_):
            return
        if of_this_version and found is not None:
            read = {"resourceVersion": found.resource_version}
            manifest = {**manifest, "metadata": {**manifest["metadata"], **read}}
        await self._apply(manifest, hash_, found)

    def _is_due(self, found: Meta | None, hash_: str) -> bool:
        if found is None or found.applied_hash != hash_ or found.fields_hash is None:
            return True
        return self._touched.setdefault(found.uid, found.fields_hash) != found.fields_hash

    async def _apply(self, manifest: Manifest, hash_: str, found: Meta | None) -> None:
        if found is not None and found.deleting:
            raise ChangedUnderneath(f"{manifest['kind']} {found.name} is being deleted")
        metadata = manifest["metadata"]
        annotations = {**metadata.get("annotations", {}), names.ANNOTATION_HASH: hash_}
        marked = {**manifest, "metadata": {**metadata, "annotations": annotations}}
        try:
            applied = await self._cluster.apply(marked, existing_uid=found.uid if found else None)
        except ConflictError as error:
            await self._unless_ours(manifest, error)
            return
        self._touched[applied["metadata"]["uid"]] = meta_of(applied).fields_hash

    async def _create(self, manifest: Manifest) -> None:
        """Create an object whose name says its content: one of that name, if ours, is the same."""
        try:
            await self._cluster.create(manifest)
        except ConflictError as error:
            await self._unless_ours(manifest, error)

    async def _unless_ours(self, manifest: Manifest, error: ConflictError) -> None:
        """Raise the conflict where the object is foreign; the cache may only be late.

        A child of an earlier object of this name is being collected: that is waited for.
        """
        metadata = manifest["metadata"]
        kind = kinds.BY_NAME[manifest["kind"]]
        live = await self._cluster.get(kind, metadata["namespace"], metadata["name"])
        if live is None:
            raise ChangedUnderneath(f"{kind.kind} {metadata['name']} is gone again") from error
        found = meta_of(live)
        if found.owner_uid == metadata["ownerReferences"][0]["uid"]:
            return
        if found.managed and found.owner_uid is not None:
            raise ChangedUnderneath(f"{kind.kind} {found.name} is being collected") from error
        raise ConflictError(
            f"{kind.kind} {metadata['namespace']}/{found.name} exists and is not Slipway's; "
            "rename the ModelDeployment or remove that object"
        ) from error

    async def write_status(self, object_: ModelDeployment, status: ModelDeploymentStatus) -> None:
        """Replace the status; the version that was read is a precondition."""
        meta = object_.metadata
        manifest: Manifest = {
            "apiVersion": names.API_VERSION,
            "kind": kinds.MODEL_DEPLOYMENT.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace},
            "status": status.wire(),
        }
        await self._cluster.apply_status(manifest, resource_version=meta.resource_version)


async def _attempt(pass_: Pass, *steps: Step) -> Trouble | None:
    """Take the steps until one is refused."""
    try:
        for step in steps:
            await step(pass_)
    except SpecError as error:
        return Trouble("InvalidSpec", str(error))
    except ConflictError as error:
        return Trouble("Conflict", str(error))
    except Refused as error:
        return Trouble("Refused", str(error))
    return None


def _about(job: Manifest, subject: str, attempt: int) -> Manifest:
    metadata = job["metadata"]
    annotations = {
        **metadata.get("annotations", {}),
        ANNOTATION_SUBJECT: subject,
        ANNOTATION_ATTEMPT: str(attempt),
    }
    return {**job, "metadata": {**metadata, "annotations": annotations}}


def _push_secret(object_: ModelDeployment) -> str | None:
    packaging = object_.spec.packaging
    return packaging.push_secret_ref.name if packaging and packaging.push_secret_ref else None


def _has_open_objects(object_: ModelDeployment) -> bool:
    pod = object_.spec.server.pod if object_.spec.server else None
    return pod is not None and bool(pod.affinity or pod.topology_spread_constraints)
