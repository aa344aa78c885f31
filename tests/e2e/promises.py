"""The invariants of docs/invariants.md, held against the recorded history of a model.

Here is what several objects say together, at every write of one of them: I1 to I5 and I8 to I10.
I6 and I7 are about what follows: a test compares the end, and reads the audit log of the rest.
Nothing of the operator's own arithmetic is used.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from slipway.api.base import Manifest
from slipway.api.modeldeployment import (
    CapacityStatus,
    ModelDeploymentStatus,
    Outcome,
    RolloutStatus,
    ShadowState,
    Stage,
)
from slipway.api.names import COMPONENT_SERVER, LABEL_COMPONENT, LABEL_REVISION

from tests.e2e.audit import AuditLog
from tests.e2e.deployed import Deployed
from tests.e2e.quiet import settle
from tests.e2e.recorded import (
    DEPLOYMENT,
    MODEL,
    POD,
    ROUTE,
    Change,
    Recorded,
    recording,
    write_changes,
)
from tests.kubectl import Kubectl

SEEN_SECONDS = 5.0
"""A replica that was ready so long ago may be what a decision rests on that is written now."""


def find_broken(changes: Iterable[Change]) -> list[str]:
    """Return every promise that the history breaks, in words; empty is good."""
    moment = Moment()
    return [broken for change in changes for broken in moment.take(change)]


@dataclass(slots=True)
class Moment:
    """What the API server had after a write."""

    model: Manifest = field(default_factory=dict)
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    weights: dict[str, int] = field(default_factory=dict)
    """As the route asks for them."""
    running: dict[str, int] = field(default_factory=dict)
    """The highest that any proxy has in force."""
    asked: dict[str, int] = field(default_factory=dict)
    """Replicas, by revision."""
    pods: dict[str, Manifest] = field(default_factory=dict)
    _ready: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    _judged: set[str] = field(default_factory=set)
    """Revisions with evidence that was seen, or that were promoted before."""
    _left: str = ""
    """Stable, whose last replica goes: the next status has another one."""

    def take(self, change: Change) -> Iterator[str]:
        """Hold a write against the moment before it, and take it in."""
        if change.kind == MODEL:
            yield from self._take_model(change)
        elif change.kind == ROUTE:
            yield from self._take_route(change)
        elif change.kind == DEPLOYMENT:
            yield from self._take_deployment(change)
        elif change.kind == POD:
            self._take_pod(change)

    # ── the status ─────────────────────────────────────────────────────────────────────────────

    def _take_model(self, change: Change) -> Iterator[str]:
        before = self.status
        now = ModelDeploymentStatus.model_validate(change.manifest.get("status", {}))
        self.model, self.status = ({} if change.is_gone else change.manifest), now
        if now.observed_generation < before.observed_generation and not change.is_gone:
            yield f"I5: generation {now.observed_generation} after {before.observed_generation}"
        if self._left and now.stable is not None and now.stable.revision == self._left:
            yield f"I10: {self._left} is stable and lost its last replica"
        self._left = ""

        self._note_evidence(now)
        yield from self._steps_go_forward(before, now)
        for entry in now.history[len(before.history) :] if before.history else ():
            is_founded = entry.unjudged is not None or entry.revision in self._judged
            if entry.outcome is Outcome.PROMOTED and not is_founded:
                yield f"I8: {entry.revision} was promoted without evidence"
        self._judged |= {
            entry.revision
            for entry in now.history
            if entry.outcome is Outcome.PROMOTED and entry.revision is not None
        }

    def _note_evidence(self, status: ModelDeploymentStatus) -> None:
        rollout = status.rollout
        if status.candidate is None or rollout is None:
            return
        passed = rollout.shadow is not None and rollout.shadow.state is ShadowState.PASSED
        if rollout.judged_weight or rollout.skipped is not None or passed:
            self._judged.add(status.candidate.revision)

    def _steps_go_forward(
        self, before: ModelDeploymentStatus, now: ModelDeploymentStatus
    ) -> Iterator[str]:
        old, new = before.rollout, now.rollout
        is_same = (
            old is not None
            and new is not None
            and before.candidate is not None
            and now.candidate is not None
            and before.candidate.revision == now.candidate.revision
            and (old.attempt, old.steps, old.started_at) == (new.attempt, new.steps, new.started_at)
        )
        if not is_same or old is None or new is None:
            return
        if new.step < old.step and not _goes_back(new):
            yield f"I5: step {new.step} after step {old.step}"

    # ── the route ──────────────────────────────────────────────────────────────────────────────

    def _take_route(self, change: Change) -> Iterator[str]:
        spec, status = change.manifest["spec"], change.manifest.get("status", {})
        before = self.weights
        now = {each["revision"]: each["weight"] for each in spec.get("backends") or ()}
        self.weights, self.running = now, {}
        for proxy in status.get("proxies") or ():
            for revision, weight in (proxy.get("effectiveWeights") or {}).items():
                self.running[revision] = max(weight, self.running.get(revision, 0))
        if change.is_gone:
            self.weights, self.running = {}, {}
            return

        yield from self._is_owned(change)
        if now and (sum(now.values()) != 100 or not all(0 <= it <= 100 for it in now.values())):
            yield f"I1: weights {now}"
        refused = {entry.revision for entry in self.status.rejected}
        for revision, weight in now.items():
            if weight <= before.get(revision, 0):
                continue
            yield from self._is_carried(revision, weight, change.at)
            if revision in refused:
                yield f"I4: {revision} was rejected and gets {weight}%"

    def _is_carried(self, revision: str, weight: int, at: float) -> Iterator[str]:
        """I1: no more traffic than the ready replicas carry, with one of the places empty."""
        ready, stable = self._ready_lately(revision, at), self.status.stable
        if stable is not None and stable.revision == revision:
            if not ready:
                yield f"I1: {revision} is stable, gets {weight}%, and has nobody ready"
            return
        capacity = self._capacity
        full = self._wanted if capacity is None else max(1, capacity.floor)
        if stable is not None and (weight - 1) * full >= 100 * ready:
            yield f"I1: {revision} gets {weight}% with {ready} ready replicas of {full}"

    # ── the replicas ───────────────────────────────────────────────────────────────────────────

    def _take_deployment(self, change: Change) -> Iterator[str]:
        labels = change.manifest["metadata"].get("labels", {})
        if labels.get(LABEL_COMPONENT) != COMPONENT_SERVER:
            return
        revision = labels[LABEL_REVISION]
        before = self.asked.get(revision, 0)
        wanted = 0 if change.is_gone else change.manifest["spec"]["replicas"]
        if not change.is_gone:
            yield from self._is_owned(change)
        if wanted < before and self.model and "deletionTimestamp" not in self.model["metadata"]:
            yield from self._may_go(revision, before, wanted)
        if wanted > before:
            yield from self._has_room(revision, wanted)

        self.asked[revision] = wanted
        ready = 0 if change.is_gone else change.manifest.get("status", {}).get("readyReplicas", 0)
        self._note_ready(revision, change.at, ready)

    def _may_go(self, revision: str, before: int, wanted: int) -> Iterator[str]:
        weight = max(self.weights.get(revision, 0), self.running.get(revision, 0))
        capacity, stable = self._capacity, self.status.stable
        is_stable = stable is not None and stable.revision == revision
        is_gap = capacity is not None and capacity.places == 1
        if is_gap and self._rollout_spec.get("allowGap") != "Accepted":
            yield f"I2: {revision} goes to {wanted} in a gap that nobody accepted"
        if is_gap:
            return
        if is_stable and not wanted and self.status.candidate is not None:
            self._left = revision

        if is_stable and capacity is None and self.status.candidate is not None and wanted:
            yield f"I10: {revision} is stable and goes from {before} to {wanted} in a Surge"
        if not wanted and weight:
            yield f"I3: {revision} loses its pods under {weight}%"
        gone = max(0, self._ready_now(revision) - wanted)  # those that answer nobody go first
        if not weight or not gone:
            return
        if capacity is None:
            yield f"I2: {revision} goes from {before} to {wanted} under {weight}%"
            return
        left, floor = self._all_ready - gone, capacity.floor - self._lost_places
        if gone > 1 or left < floor:
            yield f"I2: {gone} replicas of {revision} go, {left} stay ready, at least {floor}"

    def _has_room(self, revision: str, wanted: int) -> Iterator[str]:
        """I2: a replica is asked for when nobody holds its place any more."""
        capacity, status = self._capacity, self.status
        known = {it.revision for it in (status.stable, status.candidate) if it is not None}
        if capacity is None or revision not in known:
            return  # a next rollout begins, and asks the scheduler first
        others = [
            pod
            for pod in self.pods.values()
            if revision_of(pod) not in {revision, ""} and _holds_place(pod)
        ]
        if wanted + len(others) > capacity.places:
            held = f"{len(others)} of {capacity.places} places are held"
            yield f"I2: {revision} is asked to have {wanted} replicas, {held}"

    def _is_owned(self, change: Change) -> Iterator[str]:
        uids = [each["uid"] for each in change.manifest["metadata"].get("ownerReferences") or ()]
        if self.model and self.model["metadata"]["uid"] not in uids:
            yield f"I9: {change.kind} {change.name} does not belong to the model"

    # ── the pods ───────────────────────────────────────────────────────────────────────────────

    def _take_pod(self, change: Change) -> None:
        if change.is_gone:
            self.pods.pop(change.name, None)
        else:
            self.pods[change.name] = change.manifest
        revision = revision_of(change.manifest)
        pods = [pod for pod in self.pods.values() if revision_of(pod) == revision]
        self._note_ready(revision, change.at, sum(map(is_ready, pods)))

    def _note_ready(self, revision: str, at: float, ready: int) -> None:
        self._ready[revision].append((at, ready))

    def _ready_now(self, revision: str) -> int:
        known = self._ready[revision]
        return known[-1][1] if known else 0

    def _ready_lately(self, revision: str, at: float) -> int:
        known = self._ready[revision]
        lately = [ready for moment, ready in known if at - moment <= SEEN_SECONDS]
        return max([self._ready_now(revision), *lately])

    @property
    def _all_ready(self) -> int:
        return sum(map(is_ready, self.pods.values()))

    @property
    def _lost_places(self) -> int:
        """Places that others took, in a roll back: stable's pods find no node."""
        stable, rollout = self.status.stable, self.status.rollout
        if stable is None or rollout is None or not _goes_back(rollout):
            return 0
        pods = [pod for pod in self.pods.values() if revision_of(pod) == stable.revision]
        return sum(not pod["spec"].get("nodeName") for pod in pods)

    @property
    def _capacity(self) -> CapacityStatus | None:
        return self.status.rollout.capacity if self.status.rollout is not None else None

    @property
    def _wanted(self) -> int:
        return int(self.model.get("spec", {}).get("scaling", {}).get("minReplicas", 1))

    @property
    def _rollout_spec(self) -> Manifest:
        return dict(self.model.get("spec", {}).get("rollout", {}))


def revision_of(pod: Manifest) -> str:
    """Return the revision of a server pod."""
    return str(pod["metadata"]["labels"].get(LABEL_REVISION, ""))


def is_ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready, and nobody ends it."""
    conditions: Sequence[Manifest] = pod.get("status", {}).get("conditions") or ()
    says_so = any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)
    return says_so and "deletionTimestamp" not in pod["metadata"]


def _holds_place(pod: Manifest) -> bool:
    """Tell whether a node still counts what a pod asks for."""
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return bool(pod["spec"].get("nodeName")) and not ended


def _goes_back(rollout: RolloutStatus) -> bool:
    return rollout.stage in {Stage.ROLLING_BACK, Stage.IDLE, Stage.FAILED}


@contextmanager
def kept(kubectl: Kubectl, deployed: Deployed, audit: AuditLog | None) -> Iterator[Recorded]:
    """Record a model while the body runs, and hold its history against the promises.

    I7 is asked where the cluster has an audit log: the operator comes to rest afterwards.

    Raises:
        AssertionError: one is broken; with all that are.

    """
    with recording(kubectl, deployed.namespace, deployed.name) as recorded:
        yield recorded
        if audit is not None:
            settle(audit, deployed.namespace)
        changes = recorded.changes()
    assert {change.kind for change in changes} == {MODEL, ROUTE, DEPLOYMENT, POD}
    broken = find_broken(changes)
    file = write_changes(changes, deployed.name)
    assert not broken, f"{len(broken)} in the {len(changes)} writes of {file}: {broken[:9]}"
