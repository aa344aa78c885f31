"""An API server in memory: objects with identity, versions, field owners and garbage collection.

Stored manifests are never changed in place, so they are handed out without a copy.
"""

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from slipway.adapters.metadata import UNFILTERED
from slipway.api import kinds, names
from slipway.api.base import ApiModel, Manifest
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.modelroute import ModelRoute
from slipway.api.times import to_wire
from slipway.errors import (
    ChangedUnderneath,
    ClusterUnavailable,
    ConflictError,
    KindNotServed,
    SpecError,
)

from tests.fakes import fields
from tests.fakes.clock import FakeClock

Place = tuple[Kind, str, str]
TYPES: Mapping[Kind, type[ApiModel]] = {
    kinds.MODEL_DEPLOYMENT: ModelDeployment,
    kinds.MODEL_ROUTE: ModelRoute,
}


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch would report, with the object as it was before."""

    kind: Kind
    before: Manifest | None
    after: Manifest | None

    @property
    def manifest(self) -> Manifest:
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def is_watched(self) -> bool:
        if self.kind not in kinds.WATCHED:
            return False
        labels = self.manifest["metadata"].get("labels") or {}
        return self.kind in UNFILTERED or labels.get(names.MANAGED_BY) == names.MANAGER


class FakeApi:
    """Objects by kind, namespace and name."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self._clock = clock or FakeClock()
        self._objects: dict[Place, Manifest] = {}
        self._owners: dict[str, fields.Owners] = {}
        self._numbers = itertools.count(1)
        self._uids = itertools.count(1)
        self.version: tuple[int, int] | None = (1, 36)
        """Major and minor of Kubernetes; None: it does not say."""
        self.changes = 0
        self.watch: deque[Change] = deque()
        """What the watches have not reported yet."""
        self.lingering: set[str] = set()
        """uids of objects that stay after their deletion, and only say that they are deleted."""
        self.witness: Callable[[Change], None] = lambda _change: None
        """Sees every change at the moment it is made."""
        self.not_served: set[Kind] = {
            kinds.SCALED_OBJECT,
            kinds.GATEWAY,
            *kinds.GATEWAY_ROUTES,
        }
        """Kinds whose CRD is not installed."""
        self.pod_metrics: Sequence[Manifest] | None = None
        """What metrics.k8s.io lists; None: nobody serves it."""

    def fork(self, clock: FakeClock) -> "FakeApi":
        """Return a server that starts with the same objects and then goes its own way."""
        twin = FakeApi(clock)
        twin._objects = dict(self._objects)
        twin._owners = dict(self._owners)
        twin._numbers = itertools.count(next(copy.copy(self._numbers)))
        twin.not_served, twin.lingering = set(self.not_served), set(self.lingering)
        twin._uids = itertools.count(next(copy.copy(self._uids)))
        return twin

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        self._require_served(kind)
        return self._objects.get((kind, namespace, name))

    def all(self, kind: Kind | None = None) -> Iterator[tuple[Kind, Manifest]]:
        places = [place for place in self._objects if kind is None or place[0] is kind]
        for place in sorted(places, key=_by_name):
            yield place[0], self._objects[place]

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        if kind is kinds.POD_METRICS:
            if self.pod_metrics is None:
                raise ClusterUnavailable("the server could not find the requested resource")
            return list(self.pod_metrics)
        self._require_served(kind)
        return [
            manifest
            for _, manifest in self.all(kind)
            if manifest["metadata"]["namespace"] == namespace
            and labels.items() <= (manifest["metadata"].get("labels") or {}).items()
        ]

    def create(self, manifest: Manifest, *, manager: str, dry_run: bool = False) -> Manifest:
        place = place_of(manifest)
        if place in self._objects:
            raise ConflictError(f"{place[0].kind} {place[2]} already exists")
        if dry_run:
            return manifest

        made = copy.deepcopy(manifest)
        owner = (manager, "Update", "")
        return self._make(made, {owner: frozenset(fields.owned_leaves(manifest))})

    def apply(
        self, manifest: Manifest, *, manager: str, force: bool, subresource: str = ""
    ) -> Manifest:
        """Server-side apply; metadata.uid and resourceVersion are preconditions."""
        place, metadata = place_of(manifest), manifest["metadata"]
        self._require_served(place[0])
        found = self._objects.get(place)

        if found is None:
            if "uid" in metadata or subresource:
                raise ChangedUnderneath(f"{place[0].kind} {place[2]} does not exist")
            wanted = fields.owned_leaves(manifest)
            made: Manifest = {
                key: copy.deepcopy(value) for key, value in manifest.items() if key != "status"
            }
            made["metadata"].pop("resourceVersion", None)
            return self._make(made, {(manager, "Apply", ""): frozenset(wanted)})

        self._check(found, metadata)
        me = (manager, "Apply", subresource)
        owners = self._owners[found["metadata"]["uid"]]
        wanted = fields.owned_leaves(manifest, subresource)
        if not force and fields.conflicts(owners, fields.leaves(found), wanted, me):
            raise ConflictError(f"{place[0].kind} {place[2]} has fields of others")
        new, after = fields.applied(found, owners, wanted, me)
        return self._store(place, new, after)

    def patch(
        self, kind: Kind, namespace: str, name: str, body: Manifest, *, manager: str
    ) -> Manifest:
        """Merge patch; metadata.uid and resourceVersion are preconditions."""
        found = self._objects.get((kind, namespace, name))
        if found is None:
            raise ChangedUnderneath(f"{kind.kind} {name} does not exist")
        self._check(found, body.get("metadata", {}))

        subresource = "status" if "status" in body else ""
        new = fields.merged(found, copy.deepcopy(body))
        owners = self._owners[found["metadata"]["uid"]]
        after = fields.updated(owners, found, new, (manager, "Update", subresource))
        return self._store((kind, namespace, name), new, after)

    def put_status(self, kind: Kind, manifest: Manifest, status: Manifest) -> None:
        """Replace the status as a controller does; nothing is written where nothing changes."""
        if manifest.get("status") == status:
            return
        metadata = manifest["metadata"]
        place = (kind, metadata["namespace"], metadata["name"])
        new = {**self._objects[place], "status": status}
        self._store(place, new, dict(self._owners[metadata["uid"]]))

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete in the background: dependants stay until the garbage is collected."""
        found = self._objects.get((kind, namespace, name))
        if found is None:
            return
        metadata = found["metadata"]
        self._check(found, {"uid": uid, "resourceVersion": resource_version})
        if metadata["uid"] in self.lingering:
            if "deletionTimestamp" not in metadata:
                marked = {**metadata, "deletionTimestamp": to_wire(self._clock.now())}
                place = (kind, namespace, name)
                self._store(place, {**found, "metadata": marked}, self._owners[metadata["uid"]])
            return

        del self._objects[kind, namespace, name]
        self._tell(Change(kind, found, None))

    def collect_garbage(self) -> None:
        """Delete what belongs to owners that no longer exist, and what belongs to that in turn."""
        while True:
            alive = {item["metadata"]["uid"] for item in self._objects.values()}
            lost = [
                place
                for place, item in self._objects.items()
                if (owners := item["metadata"].get("ownerReferences"))
                and not any(owner["uid"] in alive for owner in owners)
            ]
            if not lost:
                return
            for place in lost:
                self.delete(*place)

    def _make(self, manifest: Manifest, owners: fields.Owners) -> Manifest:
        manifest["metadata"] |= {
            "uid": f"uid-{next(self._uids)}",
            "creationTimestamp": to_wire(self._clock.now()),
        }
        manifest["metadata"].pop("resourceVersion", None)
        return self._store(place_of(manifest), manifest, owners)

    def _store(self, place: Place, manifest: Manifest, owners: fields.Owners) -> Manifest:
        before = self._objects.get(place)
        manifest = dict(manifest)
        if place[0] is kinds.DEPLOYMENT:
            manifest["spec"] = {"replicas": 1, **manifest["spec"]}
        _validate(place, manifest)

        metadata = manifest["metadata"] = dict(manifest["metadata"])
        metadata["managedFields"] = fields.managed_fields(owners)
        self._owners[metadata["uid"]] = owners
        if before is not None and before == manifest:
            return before

        metadata["generation"] = _generation(before, manifest)
        metadata["resourceVersion"] = str(next(self._numbers))
        self._objects[place] = manifest
        self._tell(Change(place[0], before, manifest))
        return manifest

    def _tell(self, change: Change) -> None:
        self.changes += 1
        self.watch.append(change)
        self.witness(change)

    def _require_served(self, kind: Kind) -> None:
        if kind in self.not_served:
            raise KindNotServed(f"{kind.plural}: the server could not find the requested resource")

    def _check(self, found: Manifest, conditions: Manifest) -> None:
        for key in ("uid", "resourceVersion"):
            wanted = conditions.get(key)
            if wanted is not None and found["metadata"][key] != wanted:
                name = found["metadata"]["name"]
                raise ChangedUnderneath(f"{found['kind']} {name} has another {key}")


def place_of(manifest: Manifest) -> Place:
    metadata = manifest["metadata"]
    kind = kinds.GATEWAY if manifest["kind"] == "Gateway" else kinds.BY_NAME[manifest["kind"]]
    return kind, metadata["namespace"], metadata["name"]


def _by_name(place: Place) -> tuple[str, str, str]:
    return place[0].kind, place[1], place[2]


def _generation(before: Manifest | None, after: Manifest) -> int:
    if before is None:
        return 1
    old: int = before["metadata"]["generation"]
    same = all(
        before.get(key) == after.get(key)
        for key in before.keys() | after.keys()
        if key not in {"metadata", "status"}
    )
    if before["kind"] == kinds.DEPLOYMENT.kind:
        same = same and _annotations(before) == _annotations(after)
    return old if same else old + 1


def _annotations(manifest: Manifest) -> Manifest:
    return manifest["metadata"].get("annotations") or {}


def _validate(place: Place, manifest: Manifest) -> None:
    """Refuse what the CRD refuses."""
    kind = TYPES.get(place[0])
    if kind is None:
        return

    try:
        made = kind.model_validate(manifest)
    except ValidationError as error:
        issue = error.errors()[0]
        raise SpecError(".".join(str(part) for part in issue["loc"]), issue["msg"]) from error

    if isinstance(made, ModelRoute) and made.spec.backends:
        total = sum(backend.weight for backend in made.spec.backends)
        if total != 100:
            raise SpecError("spec.backends", f"weights sum to 100, found {total}")
