"""What one pass knows: frozen facts, read once. Decisions use nothing else, but the time.

A fact is what an object says, not what it means: meaning is the business of the decisions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from slipway.api import kinds
from slipway.api.access import Access
from slipway.api.modeldeployment import (
    CapacityStatus,
    DownloadStatus,
    ModelDeployment,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    ObjectMeta,
    Outcome,
)
from slipway.api.modelroute import CredentialStatus, RouteTLS
from slipway.api.reasons import Why
from slipway.api.result import CheckResult, PackageResult
from slipway.api.snapshot import RevisionSnapshot
from slipway.policy.gateway import GatewayReading
from slipway.policy.hook_call import HookAnswer
from slipway.policy.judgement import Judgement
from slipway.policy.measured_traffic import MeasuredTraffic
from slipway.policy.served import Served
from slipway.policy.shadow.finding import PairsFinding
from slipway.policy.sizing import Sizing


@dataclass(frozen=True, slots=True)
class Meta:
    """Identity of an object, and whether it is ours."""

    name: str
    uid: str
    resource_version: str = field(compare=False)
    """Sent along with writes; no part of what an object says, so that chatter is no change."""
    owner_uid: str | None
    """uid of the controlling owner; None: nobody controls it."""
    managed: bool
    """Carries our managed-by label."""
    deleting: bool
    applied_hash: str | None = None
    fields_hash: str | None = None
    """Hash of our managedFields entry; None: there is no entry, so apply again."""


@dataclass(frozen=True, slots=True)
class RevisionFact:
    """A ControllerRevision."""

    meta: Meta
    snapshot: RevisionSnapshot
    created: datetime
    outcome: Outcome | None
    outcome_at: datetime | None

    @property
    def name(self) -> str:
        """The revision, 8 hex digits."""
        return self.snapshot.revision


@dataclass(frozen=True, slots=True)
class WorkloadFact:
    """The Deployment of a revision."""

    meta: Meta
    revision: str
    replicas: int
    """As asked for in its spec."""
    ready: int
    settled: bool
    """Its controller has seen the newest generation."""
    failure: str | None
    """Message of its ReplicaFailure condition: quota, admission."""
    may_have_scaled_object: bool = False
    """A ScaledObject was made for it, or was about to be."""


@dataclass(frozen=True, slots=True)
class ContainerExit:
    """How a container ended."""

    code: int
    reason: str
    """Error, OOMKilled, Completed, ContainerStatusUnknown …"""
    message: str
    """Its last words."""


@dataclass(frozen=True, slots=True)
class PodFact:
    """A pod of a revision or of the router."""

    meta: Meta
    revision: str | None
    address: str | None
    created: datetime
    ready: bool
    ever_ready: bool
    running: bool
    """The main container runs now."""
    not_ready_since: datetime | None
    exits: int
    """Restarts of the main container, and the present end if it is not running."""
    last_exit: ContainerExit | None
    waiting: tuple[str, str] | None
    """Reason and message of a container that cannot start: ImagePullBackOff …"""
    fetch_exit: ContainerExit | None
    """How the fetch init container failed last."""
    unschedulable: str | None
    needs: str | None = None
    """What its containers cannot be created without, in words: volumes, devices."""
    fetches: bool = False
    """Its init container fetches the model now."""
    ended: bool = False
    """It is over, and holds nothing of its node any more: evicted, or completed."""
    model: str | None = None
    """Name of its ModelDeployment: another one of the same bytes has revisions of the same name."""


@dataclass(frozen=True, slots=True)
class AutoscalerFact:
    """What scales a revision: a HorizontalPodAutoscaler of ours, or KEDA."""

    meta: Meta
    revision: str
    desired: int
    value: float | None
    """Measured utilization, in percent."""
    limited: str | None
    """Reason for which it wants another number than it may have: TooFewReplicas …"""
    problem: tuple[str, str] | None
    """Why it does not scale: reason and message of its condition ScalingActive, or KEDA's Ready."""
    measures: bool = True
    """It has measured the load, so it may be let down to its least."""
    least: int = 0
    """Replicas below which it does not go, as is in force; 0: it has no bound yet."""
    kind: str = kinds.HORIZONTAL_POD_AUTOSCALER.kind
    """Of the object that `meta` is about."""
    is_kedas: bool = False
    """KEDA scales: `meta` is about its ScaledObject, or about the autoscaler that outlived it."""
    leaving_since: datetime | None = None
    """Since when its ScaledObject is being deleted."""


class JobState(StrEnum):
    """Where a Job stands."""

    ACTIVE = "Active"
    COMPLETE = "Complete"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class JobFact:
    """A package or check Job, with what its pod left."""

    meta: Meta
    component: str
    subject: str
    """Hash of the input for a package Job, revision and golden set for a check Job."""
    attempt: int
    state: JobState
    finished: datetime | None
    package: PackageResult | None
    check: CheckResult | None
    crash: str | None
    """Last words of a Job that left no result."""
    created: datetime | None = None
    has_pod: bool = True
    waits: str | None = None
    """Why its pod has not started, in words."""
    address: str | None = None
    """Of its pod, while that runs."""


@dataclass(frozen=True, slots=True)
class ProxyFact:
    """What one proxy says it has in force."""

    name: str
    uid: str
    generation: int
    weights: Mapping[str, int]
    error: str | None
    credentials: tuple[CredentialStatus, ...] = ()
    """What it found in what TLS and access need."""
    holds: bool = False
    """It holds requests that find no replica."""
    is_asked: bool = False
    """A request came since it has held them."""
    reported_at: datetime | None = None
    """When it said so, by the clock of its node."""


@dataclass(frozen=True, slots=True)
class RouteFact:
    """The ModelRoute."""

    meta: Meta
    generation: int
    port: int
    weights: Mapping[str, int]
    """As written, by revision, in the order of the backends."""
    candidate: str | None
    proxies: tuple[ProxyFact, ...]
    epoch: str | None = None
    """The leadership that stamped it last."""
    min_endpoints: Mapping[str, int] = field(default_factory=dict)
    """As written, by revision."""
    tls: RouteTLS | None = None
    access: Access | None = None
    shadow: str | None = None
    """Revision that answers copies of requests."""
    asleep: bool = False
    """Requests that find no replica are to be held."""


@dataclass(frozen=True, slots=True)
class TrafficReading:
    """What the proxies counted just now."""

    in_flight: Mapping[str, int] = field(default_factory=dict)
    """Requests in flight by revision, over all proxies that answered."""
    silent: frozenset[str] = frozenset()
    """Names of proxies that must be heard and did not answer."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a decision about one ModelDeployment rests on."""

    md: ModelDeployment
    """The object, as `kubectl get md` names it."""
    input: str
    """Hash of the input that the spec asks for."""
    golden: str
    """Hash of the golden set that the spec asks for; empty without one."""
    revisions: Mapping[str, RevisionFact] = field(default_factory=dict)
    workloads: Mapping[str, WorkloadFact] = field(default_factory=dict)
    pods: Mapping[str, tuple[PodFact, ...]] = field(default_factory=dict)
    jobs: tuple[JobFact, ...] = ()
    route: RouteFact | None = None
    proxies: tuple[PodFact, ...] = ()
    """Router pods that must acknowledge: Ready, or not Ready while their Envoy serves on."""
    packaged: PackageResult | None = None
    """What the input is known to become without a Job: its digest is pinned, and pods fetch it."""
    spec_error: str | None = None
    """Why nothing can be made of the spec; what exists goes on."""
    traffic: TrafficReading | None = None
    """None: the counters were not read in this pass."""
    judgements: tuple[Judgement, ...] = ()
    answers: Mapping[str, HookAnswer] = field(default_factory=dict)
    """Of hooks, by the key of the question."""
    router_problem: str | None = None
    """Why the namespace's router is not as it should be."""
    awaits_policies: bool = False
    """The NetworkPolicies around the model's servers are not there yet: no new server may start."""
    runs_newest_agent: bool = True
    """Every router pod understands everything that a route can ask for."""
    acknowledged_at: datetime | None = None
    """Since when this operator has seen all proxies run the newest route: the clock of a node may
    differ from its own."""
    requester_is_verified: bool = True
    """An admission policy ties the annotation requested-by to its writer."""
    autoscalers: Mapping[str, AutoscalerFact] = field(default_factory=dict)
    """What scales revisions beside Slipway, by revision."""
    keda_problem: Why | None = None
    """Why KEDA cannot be asked to scale, where it is to; None: it can."""
    measured: MeasuredTraffic | None = None
    """The requests since a rollout began; None: it has its schedule, or nothing is known yet."""
    served: Served | None = None
    """What the routers counted of the candidate so far; None: it has no traffic, or not read."""
    worsening: str | None = None
    """How stable became worse since it was promoted, with numbers; None: it did not."""
    turn: str | None = None
    """Why a rollout may not begin yet beside the others; None: it may."""
    sizing: Sizing | None = None
    """What the measured load needs; None: it is not measured, or nothing is known yet."""
    download: DownloadStatus | None = None
    """How far the download of the wanted model is; None: none is under way, or nobody could say."""
    pairs: PairsFinding | None = None
    """What pairs of answers say so far; None: not read in this pass."""
    cluster_version: tuple[int, int] | None = None
    """Major and minor of the API server; None: it does not matter here, or it did not say."""
    gateway: GatewayReading | None = None
    """What gateways say; None: nobody asks for one, or nobody has looked yet."""
    stable: str | None = field(init=False)
    """The revision that serves: as status has it, else the one that was promoted last."""
    candidate: str | None = field(init=False)
    """The revision that is rolled out: as status has it, else the other one with traffic."""

    def __post_init__(self) -> None:
        """Find who serves and who is rolled out, once for all who ask."""
        stable = _find_stable(self)
        object.__setattr__(self, "stable", stable)
        object.__setattr__(self, "candidate", _find_candidate(self, stable))

    @property
    def is_status_lost(self) -> bool:
        """Whether there was a status that is gone, as after a restore from a backup."""
        return self.status.rollout is None and bool(self.revisions)

    @property
    def spec(self) -> ModelDeploymentSpec:
        """What the user asks for."""
        return self.md.spec

    @property
    def status(self) -> ModelDeploymentStatus:
        """What the last pass wrote."""
        return self.md.status

    @property
    def metadata(self) -> ObjectMeta:
        """Name, namespace, annotations and generation of the object."""
        return self.md.metadata

    @property
    def shared(self) -> CapacityStatus | None:
        """The places that two revisions share, as the last pass noted them; None: they do not."""
        return self.status.rollout.capacity if self.status.rollout is not None else None

    def recognise_input(self, inputs: Sequence[str]) -> str:
        """Return which of the identities of one input is in use here; else the first of them.

        What serves comes first: another spelling of it asks for nothing else. Then comes what a
        person holds, and what the last pass was about.
        """
        status = self.status
        stable, candidate = (
            self.revisions.get(name) if name else None for name in (self.stable, self.candidate)
        )
        in_use = [
            stable.snapshot.input if stable else None,
            status.hold.input if status.hold else None,
            candidate.snapshot.input if candidate else None,
            status.rollout.input if status.rollout else None,
        ]
        known = {item.snapshot.input for item in self.revisions.values()}
        known |= {job.subject for job in self.jobs}
        of_ours = (item for item in in_use if item is not None and item in inputs)
        return next(of_ours, next((item for item in inputs if item in known), inputs[0]))

    def recognise_golden_set(self, hashes: Sequence[str]) -> str:
        """Return which of the identities of one golden set something was judged by, or the first.

        By another one a rejection would be lifted, and a check made again.
        """
        known = {entry.golden_set for entry in self.status.rejected}
        known |= {job.subject.partition(".")[2] for job in self.jobs}
        return next((item for item in hashes if item in known), hashes[0])

    @property
    def wanted(self) -> RevisionFact | None:
        """The revision that the spec's input has become, if it has one.

        Where its address was looked at again, it is the one that has the bytes that were found.
        """
        made = [item for item in self.revisions.values() if item.snapshot.input == self.input]
        look = self.status.source
        found = look.revision if look is not None and look.input == self.input else None
        if found is not None and any(item.name == found for item in made):
            made = [self.revisions[found]]
        return max(made, key=lambda item: item.created, default=None)

    def ready(self, revision: str | None) -> int:
        """Return the ready replicas of a revision."""
        workload = self.workloads.get(revision or "")
        return workload.ready if workload else 0

    def written_weight(self, revision: str | None) -> int:
        """Return the weight that was asked of the router."""
        return self.route.weights.get(revision or "", 0) if self.route else 0

    @property
    def unacknowledged(self) -> tuple[str, ...]:
        """Names of the proxies that do not run the newest route yet."""
        if self.route is None:
            return tuple(pod.meta.name for pod in self.proxies)
        current = {
            proxy.uid
            for proxy in self.route.proxies
            if proxy.generation == self.route.generation and proxy.error is None
        }
        return tuple(pod.meta.name for pod in self.proxies if pod.meta.uid not in current)

    @property
    def is_acknowledged(self) -> bool:
        """Every proxy that must acknowledge runs the newest route, and there is one at least."""
        return self.route is not None and bool(self.proxies) and not self.unacknowledged

    def highest_weight_running(self, revision: str | None) -> int:
        """Return the largest weight that any proxy may still run for a revision."""
        weights = [self.written_weight(revision)]
        if self.route is not None:
            alive = {pod.meta.uid for pod in self.proxies}
            weights += [
                proxy.weights.get(revision or "", 0)
                for proxy in self.route.proxies
                if proxy.uid in alive
            ]
        return max(weights)

    def is_healthy(self, revision: str | None) -> bool:
        """Return whether the replicas that a revision must have are ready, and there is one.

        More than minReplicas are the scaler's business: those may still be starting. One whose only
        place was given to another revision was healthy, or it would not have been given.
        """
        workload = self.workloads.get(revision or "")
        if workload is None:
            return False
        if self.shared is not None and self.shared.places == 1 and not workload.replicas:
            return True
        least = self.spec.scaling.least_awake
        return 0 < min(workload.replicas, least) <= workload.ready


def _find_stable(facts: Facts) -> str | None:
    """Return the revision that serves, also where its ControllerRevision was deleted.

    What status names counts while there is anything of it: its ControllerRevision or its
    Deployment. Traffic must not move because a record was removed.
    """
    told = facts.status.stable
    if told is not None and (told.revision in facts.revisions or told.revision in facts.workloads):
        return told.revision
    promoted = [item for item in facts.revisions.values() if item.outcome is Outcome.PROMOTED]
    routed = [item for item in promoted if facts.written_weight(item.name) > 0]

    def promoted_at(item: RevisionFact) -> datetime:
        return item.outcome_at or item.created

    newest = max(routed or promoted, key=promoted_at, default=None)
    return newest.name if newest else None


def _find_candidate(facts: Facts, stable: str | None) -> str | None:
    """Return the revision that is rolled out; where the status was lost, the route tells it."""
    if facts.status.candidate is not None:
        return facts.status.candidate.revision
    if facts.status.rollout is not None or facts.route is None:
        return None
    return next(
        (
            name
            for name, weight in facts.route.weights.items()
            if name != stable and weight > 0 and name in facts.revisions
        ),
        None,
    )
