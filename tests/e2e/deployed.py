"""One ModelDeployment under test: applied, followed, and compared with what should be left of it.

Every status is taken in as it is written, so that a test can act in the middle of a stage, and can
ask afterwards what was never to be seen.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import (
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    Stage,
)
from slipway.api.names import (
    ANNOTATION_ACTION,
    COMPONENT_ROUTER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    LABEL_REVISION,
    LABEL_VERSION,
)
from slipway.cli.kubectl import FIELD_MANAGER

from tests.demo.watch import StatusWatch
from tests.e2e.figures import Figures
from tests.kubectl import Kubectl, KubectlError, Manifest, until
from tests.patience import patient

Condition = Callable[[ModelDeploymentStatus], bool]
END_SECONDS = 180.0
REST_SECONDS = 90.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left when a rollout is over, by version: the same however often it was disturbed."""

    stable: str
    outcomes: tuple[str, ...]
    """Of the version that was rolled out, in the history."""
    ready: str
    """Status and reason of the condition Ready."""
    stalled: str = ""
    """Reason of the condition Stalled; empty without one."""
    candidate: str = ""
    stage: Stage = Stage.IDLE
    weights: tuple[tuple[str, int], ...] = ()
    """What every proxy has in force."""
    replicas: tuple[tuple[str, int], ...] = ()
    """Of every version that has pods: wanted, and as many of them ready."""
    jobs: int = 0


def promoted(version: str) -> Rest:
    """Return what is left of a promotion."""
    return Rest(
        stable=version,
        outcomes=(Outcome.PROMOTED,),
        ready="True Promoted",
        weights=((version, 100),),
        replicas=((version, 1),),
    )


def refused(outcome: Outcome, *, stable: str, why: str = "RevisionRejected") -> Rest:
    """Return what is left of a version that was not promoted."""
    return Rest(
        stable=stable,
        outcomes=(outcome,),
        ready=f"False {why}",
        stalled=why,
        weights=((stable, 100),),
        replicas=((stable, 1),),
    )


class Applied(Protocol):
    """A version, as something that can be applied."""

    def manifest(self) -> Manifest: ...


class Deployed:
    """A ModelDeployment, followed from its first apply on."""

    def __init__(self, kubectl: Kubectl, figures: Figures, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self.seen: list[ModelDeploymentStatus] = []
        """Every status since the newest apply."""
        self._kubectl = kubectl
        self._figures = figures
        self._generation = 0
        self._watch = StatusWatch(kubectl, namespace, name)

    # ── what users do ──────────────────────────────────────────────────────────────────────────

    def apply(self, model: Applied) -> None:
        """Apply a version; what was seen before it counts no more."""
        self._take_in()
        self.seen.clear()
        words = ("apply", "-f", "-", "-o", "json")
        applied = self._kubectl.run(*words, stdin=json.dumps(model.manifest()))
        self._generation = json.loads(applied)["metadata"]["generation"]

    def act(self, verb: str, manager: str = FIELD_MANAGER) -> int:
        """Ask for a one-shot action as `kubectl slipway` does, and return its id."""
        id_ = time.time_ns() // 1_000_000
        what = f"{ANNOTATION_ACTION}={verb}#{id_}"
        words = ("annotate", "modeldeployment", self.name, "-n", self.namespace)
        self._kubectl.run(*words, "--overwrite", what, f"--field-manager={manager}")
        return id_

    def lose_status(self) -> None:
        """Take the status away, as a restore from a backup does."""
        patch = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
        words = ("patch", "modeldeployment", self.name, "-n", self.namespace)
        self._kubectl.run(*words, "--subresource=status", "--type=json", "-p", patch)

    # ── what they wait for ─────────────────────────────────────────────────────────────────────

    def wait_for(
        self, fits: Condition, what: str, seconds: float = END_SECONDS
    ) -> ModelDeploymentStatus:
        """Return the first status that fits, from the newest that is known on.

        Raises:
            KubectlError: none came in time; with the last one.

        """
        self._take_in()
        if self.seen and fits(self.seen[-1]):
            return self.seen[-1]

        seconds = patient(seconds)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self._watch.next(LOOK_SECONDS)
            if status is not None and self._note(status) and fits(status):
                return status
        last = self.seen[-1] if self.seen else None
        raise KubectlError(f"{self.name}: waited {seconds:.0f} s for {what}; {summary(last)}")

    def stays(self, fits: Condition, seconds: float) -> None:
        """Watch that every status of the next seconds fits.

        Raises:
            AssertionError: one does not.

        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self._watch.next(LOOK_SECONDS)
            if status is not None and self._note(status):
                assert fits(status), summary(status)

    def wait_for_stage(self, stage: Stage, weight: int | None = None) -> ModelDeploymentStatus:
        """Wait until the rollout is in a stage, and every proxy has a weight."""
        what = stage.value if weight is None else f"{stage.value} at {weight} %"
        return self.wait_for(lambda status: is_at(status, stage, weight), what)

    def wait_for_end(self, version: str, seconds: float = END_SECONDS) -> HistoryEntry:
        """Wait until a version has ended, one way or the other, and nothing is under way."""
        status = self.wait_for(
            lambda status: end_of(status, version) is not None, f"the end of {version}", seconds
        )
        ended = end_of(status, version)
        assert ended is not None
        return ended

    def comes_to(self, expected: Rest, version: str, seconds: float = REST_SECONDS) -> None:
        """Wait until what is left is what is expected.

        Raises:
            AssertionError: it was not in time; with what is there instead.

        """
        try:
            until(lambda: self.rest(version) == expected, "rest", seconds)
        except KubectlError as error:
            found = self.rest(version)
            if found != expected:
                message = f"{self.name}: found {found}, expected {expected}"
                raise AssertionError(message) from error

    @property
    def status(self) -> ModelDeploymentStatus:
        """The status as it is now."""
        found = self._kubectl.get(self.namespace, "modeldeployment", self.name) or {}
        return ModelDeploymentStatus.model_validate(found.get("status", {}))

    @property
    def stable_revision(self) -> str:
        """The revision that serves."""
        stable = self.status.stable
        assert stable is not None
        return stable.revision

    def events(self) -> dict[str, str]:
        """Return the newest message of each reason that was told of it."""
        words = ("events", "-n", self.namespace, "-o", "json", "--for")
        said = self._kubectl.run(*words, f"modeldeployment/{self.name}")
        told = json.loads(said)["items"]
        told.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return {event["reason"]: event["message"] for event in told}

    def route(self) -> Manifest:
        """Return the ModelRoute as it is now."""
        return self._kubectl.get(self.namespace, "modelroute", self.name) or {}

    def pods(self, revision: str) -> list[Manifest]:
        """Return the server pods of a revision that nobody is deleting."""
        selector = f"{LABEL_OWNER}={self.name},{LABEL_REVISION}={revision}"
        pods = self._kubectl.items(self.namespace, "pods", selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def rest(self, version: str) -> Rest:
        """Return what is there now of all that belongs to the ModelDeployment."""
        status = self.status
        workloads = self._kubectl.items(self.namespace, "deployments", f"{LABEL_OWNER}={self.name}")
        versions = {
            item["metadata"]["labels"].get(LABEL_REVISION): item["spec"]["template"]["metadata"][
                "labels"
            ].get(LABEL_VERSION)
            for item in workloads
        }

        jobs = self._kubectl.items(self.namespace, "jobs", f"{LABEL_OWNER}={self.name}")
        return Rest(
            stable=status.stable.version if status.stable else "",
            outcomes=tuple(e.outcome for e in status.history if e.version == version),
            ready=" ".join(_condition(status, ConditionType.READY)),
            stalled=_condition(status, ConditionType.STALLED)[1],
            candidate=status.candidate.version if status.candidate else "",
            stage=status.rollout.stage if status.rollout else Stage.IDLE,
            weights=_in_force(self.route(), self._router_pods(), versions),
            replicas=tuple(sorted(_replicas(item) for item in workloads if _has_pods(item))),
            jobs=len(jobs),
        )

    def _router_pods(self) -> set[str]:
        pods = self._kubectl.items(self.namespace, "pods", f"{LABEL_COMPONENT}={COMPONENT_ROUTER}")
        return {pod["metadata"]["name"] for pod in pods}

    # ── taking in ──────────────────────────────────────────────────────────────────────────────

    def _take_in(self) -> None:
        while (status := self._watch.next(0.001)) is not None:
            self._note(status)

    def _note(self, status: ModelDeploymentStatus) -> bool:
        self._figures.note_rollback(self.name, status, self._watch.came_at)
        if status.observed_generation < self._generation:
            return False
        self.seen.append(status)
        return True

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.__exit__(kind, error, trace)


Follow = Callable[[str], Deployed]
"""Follows the ModelDeployment of that name until the end of the session."""


def is_at(status: ModelDeploymentStatus, stage: Stage, weight: int | None = None) -> bool:
    """Tell whether a status is in a stage, at an acknowledged weight if one is given."""
    rollout = status.rollout
    if rollout is None or rollout.stage is not stage:
        return False
    return weight is None or rollout.acked_weight == weight


def end_of(status: ModelDeploymentStatus, version: str) -> HistoryEntry | None:
    """Return how a version ended, once it has and nothing is under way any more."""
    stage = status.rollout.stage if status.rollout else Stage.IDLE
    if status.candidate is not None or stage is not Stage.IDLE:
        return None
    entries = [entry for entry in status.history if entry.version == version]
    return entries[-1] if entries else None


def highest_weight(seen: list[ModelDeploymentStatus], version: str) -> int:
    """Return the largest share that a version was seen with as a candidate."""
    weights = [
        status.rollout.acked_weight
        for status in seen
        if status.rollout and status.candidate and status.candidate.version == version
    ]
    return max(weights, default=0)


def summary(status: ModelDeploymentStatus | None) -> str:
    """Return where a rollout stands, in one line."""
    if status is None:
        return "no status came"
    rollout, ready = status.rollout, _condition(status, ConditionType.READY)
    stage = rollout.stage if rollout else "no rollout"
    message = next((c.message for c in status.conditions if c.type == ConditionType.READY), "")
    return f"last: {stage}, Ready {' '.join(ready)}: {message}"


def _condition(status: ModelDeploymentStatus, kind: ConditionType) -> tuple[str, str]:
    found = next((entry for entry in status.conditions if entry.type == kind), None)
    return (found.status.value, found.reason) if found else ("", "")


def _in_force(
    route: Manifest, pods: set[str], versions: dict[str, str]
) -> tuple[tuple[str, int], ...]:
    """Return the weights above 0 where spec and all proxies agree."""
    written = {b["revision"]: b["weight"] for b in route.get("spec", {}).get("backends", ())}
    proxies = route.get("status", {}).get("proxies", ())
    alive = [proxy["effectiveWeights"] for proxy in proxies if proxy["name"] in pods]
    disagreeing = [weights for weights in alive if _positive(weights) != _positive(written)]
    if disagreeing:
        return (("not acknowledged", len(disagreeing)),)
    return tuple(sorted((versions.get(r, r), w) for r, w in _positive(written).items()))


def _positive(weights: dict[str, int]) -> dict[str, int]:
    return {revision: weight for revision, weight in weights.items() if weight}


def _has_pods(workload: Manifest) -> bool:
    return bool(workload["spec"]["replicas"] or workload.get("status", {}).get("replicas"))


def _replicas(workload: Manifest) -> tuple[str, int]:
    version = workload["spec"]["template"]["metadata"]["labels"].get(LABEL_VERSION, "")
    wanted = workload["spec"]["replicas"]
    ready = workload.get("status", {}).get("readyReplicas", 0)
    return (version, wanted) if wanted == ready else (f"{version}: {ready} ready of", wanted)
