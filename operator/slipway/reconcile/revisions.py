"""Makes revisions, and gives each the replicas that were decided."""

from collections import OrderedDict

from slipway.api import kinds
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.snapshot import RevisionSnapshot
from slipway.policy.facts import Meta, WorkloadFact
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.observe import find_service
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import StoredRevision
from slipway.reconcile.writer import ObjectWriter
from slipway.settings import Settings

REMEMBERED = 1000


class RevisionWriter:
    """Writes the ControllerRevision, the Deployment and the Service of revisions."""

    def __init__(self, cluster: Cluster, writer: ObjectWriter, settings: Settings) -> None:
        self._cluster = cluster
        self._writer = writer
        self._settings = settings
        self._made: OrderedDict[str, RevisionSnapshot] = OrderedDict()
        """Snapshots made a moment ago and not run yet, by uid: they need not be read again."""

    async def make(self, decided: Decided) -> None:
        """Freeze the wanted input as a revision; what Kubernetes rejects of it is rejected now."""
        md, result = decided.facts.md, decided.decision.make_revision
        if result is None:
            return

        snapshot = render_inputs.build_snapshot(decided.facts, result, self._settings)
        if _shapes_the_pod(md):
            await self._cluster.create(snapshot.deployment, dry_run=True)

        manifest = render_inputs.render_controller_revision(md, snapshot, decided.now)
        made = await self._writer.create(manifest)
        self._made[made["metadata"]["uid"]] = RevisionSnapshot.model_validate(made["data"])
        if len(self._made) > REMEMBERED:
            self._made.popitem(last=False)

    async def run(self, decided: Decided) -> None:
        """Give revisions the replicas that they lack; none is taken away."""
        stored = {item.fact.name: item for item in decided.children.of(StoredRevision)}
        for name, replicas in decided.decision.replicas.items():
            revision = stored.get(name)
            if replicas and revision is not None:
                await self._run_revision(decided, revision, replicas)

    async def stop(self, decided: Decided) -> None:
        """Take replicas away, as long as each Deployment is still the version that was read."""
        for name, replicas in decided.decision.replicas.items():
            running = decided.facts.workloads.get(name)
            if running is not None and replicas < running.replicas:
                await self._cluster.scale(
                    decided.namespace,
                    running.meta.name,
                    uid=running.meta.uid,
                    replicas=replicas,
                    resource_version=running.meta.resource_version,
                )

    async def _run_revision(self, decided: Decided, stored: StoredRevision, replicas: int) -> None:
        name = stored.fact.meta.name
        running = decided.facts.workloads.get(stored.fact.name)
        if running is None and decided.facts.awaits_policies:
            return  # the router's pass writes them, and wakes this object afterwards
        service = find_service(decided.children, name)

        # what is missing or was touched, or may have been, is compared with the snapshot
        found: dict[Kind, Meta | None] = {
            kinds.DEPLOYMENT: running.meta if running else None,
            kinds.SERVICE: service.meta if service else None,
        }
        doubtful = [
            kind
            for kind, meta in found.items()
            if self._writer.differs(meta, stored.hashes[kind.kind])
            or not self._writer.has_seen(meta)
        ]
        if doubtful:
            snapshot = await self._read_snapshot(decided.namespace, stored.fact.meta)
            if snapshot is None:
                return
            desired = {kinds.SERVICE: snapshot.service, kinds.DEPLOYMENT: snapshot.deployment}
            for kind in doubtful:
                manifest, manifest_hash = desired[kind], stored.hashes[kind.kind]
                if await self._writer.is_due(manifest, found[kind], manifest_hash):
                    await self._writer.apply(manifest, manifest_hash, found[kind])

        await self._scale_up(decided.namespace, name, running, replicas)

    async def _read_snapshot(self, namespace: str, meta: Meta) -> RevisionSnapshot | None:
        if meta.uid in self._made:
            return self._made.pop(meta.uid)
        manifest = await self._cluster.get(kinds.CONTROLLER_REVISION, namespace, meta.name)
        return RevisionSnapshot.model_validate(manifest["data"]) if manifest else None

    async def _scale_up(
        self, namespace: str, name: str, running: WorkloadFact | None, replicas: int
    ) -> None:
        if running is None:
            if replicas == 1:
                return  # a new Deployment has one replica by default
            made = await self._cluster.get(kinds.DEPLOYMENT, namespace, name)
            if made is not None:
                uid = made["metadata"]["uid"]
                await self._cluster.scale(namespace, name, uid=uid, replicas=replicas)
        elif running.replicas < replicas:
            await self._cluster.scale(namespace, name, uid=running.meta.uid, replicas=replicas)


def _shapes_the_pod(md: ModelDeployment) -> bool:
    """Return whether the spec has fields that only Kubernetes itself validates in full."""
    server = md.spec.server
    return server is not None and (server.pod is not None or server.resources is not None)
