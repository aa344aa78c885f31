"""Makes revisions, and runs as many replicas of each as was decided."""

from collections import OrderedDict

from slipway.api import kinds
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.snapshot import RevisionSnapshot
from slipway.policy.facts import Meta, WorkloadFact
from slipway.reconcile import compose
from slipway.reconcile.observe import has_service
from slipway.reconcile.ports import Cluster
from slipway.reconcile.project import StoredRevision
from slipway.reconcile.work import Pass
from slipway.reconcile.writer import Writer
from slipway.settings import Settings

REMEMBERED = 1000


class Revisions:
    """Writes the ControllerRevision, the Deployment and the Service of revisions."""

    def __init__(self, cluster: Cluster, writer: Writer, settings: Settings) -> None:
        self._cluster = cluster
        self._writer = writer
        self._settings = settings
        self._made: OrderedDict[str, RevisionSnapshot] = OrderedDict()
        """What was made a moment ago and has yet to run, by uid: it need not be read again."""

    async def make(self, pass_: Pass) -> None:
        """Freeze the wanted input as a revision; what Kubernetes refuses of it is refused now."""
        object_, result = pass_.facts.md, pass_.decision.make_revision
        if result is None:
            return
        snapshot = compose.snapshot_of(object_, result, self._settings)
        if _shapes_the_pod(object_):
            await self._cluster.create(snapshot.deployment, dry_run=True)
        manifest = compose.controller_revision(object_, snapshot, pass_.now)
        made = await self._writer.create(manifest)
        self._made[made["metadata"]["uid"]] = RevisionSnapshot.model_validate(made["data"])
        if len(self._made) > REMEMBERED:
            self._made.popitem(last=False)

    async def run(self, pass_: Pass) -> None:
        """Give revisions the replicas that they lack."""
        stored = {item.fact.name: item for item in pass_.children.of(StoredRevision)}
        for name, replicas in pass_.decision.replicas.items():
            revision = stored.get(name)
            if replicas and revision is not None:
                await self._run(pass_, revision, replicas)

    async def stop(self, pass_: Pass) -> None:
        """Take away replicas of the versions that were read."""
        for name, replicas in pass_.decision.replicas.items():
            running = pass_.facts.workloads.get(name)
            if running is not None and replicas < running.replicas:
                await self._cluster.scale(
                    pass_.namespace,
                    running.meta.name,
                    uid=running.meta.uid,
                    replicas=replicas,
                    resource_version=running.meta.resource_version,
                )

    async def _run(self, pass_: Pass, stored: StoredRevision, replicas: int) -> None:
        name = stored.fact.meta.name
        running = pass_.facts.workloads.get(stored.fact.name)
        service = has_service(pass_.children, name)
        found: dict[Kind, Meta | None] = {
            kinds.DEPLOYMENT: running.meta if running else None,
            kinds.SERVICE: service.meta if service else None,
        }
        due = [
            kind
            for kind, meta in found.items()
            if self._writer.is_due(meta, stored.hashes[kind.kind])
        ]
        if due:
            snapshot = await self._snapshot(pass_.namespace, stored.fact.meta)
            if snapshot is None:
                return
            desired = {kinds.SERVICE: snapshot.service, kinds.DEPLOYMENT: snapshot.deployment}
            for kind in due:
                await self._writer.apply(desired[kind], stored.hashes[kind.kind], found[kind])
        await self._scale_up(pass_.namespace, name, running, replicas)

    async def _snapshot(self, namespace: str, meta: Meta) -> RevisionSnapshot | None:
        if meta.uid in self._made:
            return self._made.pop(meta.uid)
        manifest = await self._cluster.get(kinds.CONTROLLER_REVISION, namespace, meta.name)
        return RevisionSnapshot.model_validate(manifest["data"]) if manifest else None

    async def _scale_up(
        self, namespace: str, name: str, running: WorkloadFact | None, replicas: int
    ) -> None:
        if running is None:
            if replicas == 1:
                return  # a new Deployment has one replica by itself
            made = await self._cluster.get(kinds.DEPLOYMENT, namespace, name)
            if made is not None:
                uid = made["metadata"]["uid"]
                await self._cluster.scale(namespace, name, uid=uid, replicas=replicas)
        elif running.replicas < replicas:
            await self._cluster.scale(namespace, name, uid=running.meta.uid, replicas=replicas)


def _shapes_the_pod(object_: ModelDeployment) -> bool:
    """Whether the user gave what only Kubernetes itself checks in full."""
    server = object_.spec.server
    return server is not None and (server.pod is not None or server.resources is not None)
