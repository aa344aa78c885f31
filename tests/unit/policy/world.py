"""The world of decisions: facts by hand, and no manifest.

Asked here is **what is decided**: every pass calls `decide`, and what it decides is written in the
order of `slipway.reconcile.execute`, by a few lines that may be killed after any write. What
happens around it (pods, acknowledgements, load, people) is drawn from a seeded generator. What
is written to a cluster, and how, is asked in `tests.unit.reconcile.world`; what both can be asked
is in `tests.unit.worlds`.
"""

import copy
import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from slipway.api.counters import Counters
from slipway.api.modeldeployment import (
    MetricPreset,
    ModelDeployment,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
)
from slipway.api.modeldeployment.status import STATE_LENGTH
from slipway.api.modelroute import Shadow
from slipway.api.names import ANNOTATION_ACTION
from slipway.api.reasons import Reason, Why
from slipway.api.result import CheckResult, CheckVerdict, PackageResult
from slipway.api.times import to_wire
from slipway.policy.analysis.inputs import Count, Counted, Reading
from slipway.policy.analysis.pairs.look import look_at_pairs, needs_pairs
from slipway.policy.analysis.study import Study, study_of
from slipway.policy.decision import Decision
from slipway.policy.facts import (
    ContainerExit,
    Facts,
    JobFact,
    JobState,
    PodFact,
    ProxyFact,
    RevisionFact,
    RouteFact,
    TrafficReading,
    WorkloadFact,
)
from slipway.policy.identity import golden_hash, input_hash
from slipway.policy.invariants import find_violations
from slipway.policy.judgement import Judgement, texts_of
from slipway.policy.measured_traffic import (
    MeasuredTraffic,
    TrafficTotals,
    measure_traffic,
    total_traffic,
)
from slipway.policy.rollout.after_promotion import watched_level
from slipway.policy.rollout.checking import check_subject
from slipway.policy.rollout.decide import decide
from slipway.policy.rollout.look_again import is_job_of_look
from slipway.policy.rollout.scheduling import awaits_measurement
from slipway.policy.served import Served, total_served
from slipway.policy.shadow.counts import PairsMemory
from slipway.policy.status import desired_status, store_memories
from slipway.policy.status_due import is_due

from tests.builders import (
    NOON,
    a_model_deployment,
    a_pod,
    a_revision,
    a_workload,
    counted,
    digest_at,
    meta,
)
from tests.fakes.pairs import FakeComparer, Order
from tests.unit.worlds import Killed, RolloutWorld

PROXY_PODS = tuple(a_pod(name) for name in ("router-a", "router-b"))
THE_SAME_POD = functools.lru_cache(maxsize=10_000)(a_pod)
"""Facts are immutable, and most pods are what they were a second ago."""
QUIET_SECONDS = 45
"""Longer than every wait that is not a clock of its own: 30 s for a stable that is down."""
PROXIES = ("router-a", "router-b")
YEARS_OF_REQUESTS = 10**9


@dataclass
class Replicas:
    wanted: int
    ready: int = 0
    placed: int = 0
    """Pods that a node has taken; counted only where places are few."""
    ending: int = 0
    """Pods that were told to go and hold their place still."""
    raised: datetime = NOON
    """When the newest pod was asked for."""
    ever_ready: bool = False
    exits: int = 0
    down_since: datetime | None = NOON


@dataclass
class DecisionWorld(RolloutWorld):
    """One ModelDeployment, its pods, proxies and load; a pass takes well below a millisecond."""

    seed: int
    md: ModelDeployment = field(default_factory=a_model_deployment)
    now: datetime = NOON
    revisions: dict[str, RevisionFact] = field(default_factory=dict)
    workloads: dict[str, Replicas] = field(default_factory=dict)
    jobs: list[JobFact] = field(default_factory=list)
    weights: dict[str, int] | None = None
    generation: int = 0
    acked: dict[str, tuple[int, dict[str, int], datetime]] = field(default_factory=dict)
    counts: dict[str, dict[str, list[int]]] = field(
        default_factory=lambda: {proxy: {} for proxy in PROXIES}
    )
    bytes_: str = ""
    """What lies at every address now, beside its name."""
    faults: dict[str, str] = field(default_factory=dict)
    """By version: errors, answers, slow, golden, crash, never-ready."""
    writes: int = 0
    weight_log: list[dict[str, int]] = field(default_factory=list)
    """By version."""
    log: list[str] = field(default_factory=list)
    actions: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    """By revision, also of those whose ControllerRevision somebody deleted."""
    worsening: str | None = None
    """What is found of a revision that is watched after its promotion."""
    first: TrafficTotals | None = None
    """The first reading since a rollout began."""
    standing: dict[str, Any] = field(default_factory=dict)
    """What every version that is asked for has in its spec."""
    comparers: dict[str, FakeComparer] = field(default_factory=dict)
    """By proxy; none: the routers are older than pairs are."""
    pairs_per_second: int = 20
    """Of each comparer."""
    shadow: Shadow | None = None
    """Copies that the route orders."""
    keeps_state: bool = False
    streams_answers: bool | None = False
    seen: PairsMemory | None = None
    """What this process of the operator knows of the pairs."""
    places: int | None = None
    """Pods that the nodes have room for; None: as many as are asked for."""
    taken: int = 0
    """Places that somebody else took, or that went away with a node."""
    skew: dict[str, timedelta] = field(default_factory=dict)
    """By proxy: how far the clock of its node is ahead."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._hashed: tuple[ModelDeploymentSpec | None, str] = None, ""

    # ── what the operator sees ──

    def facts(self) -> Facts:
        route = None
        if self.weights is not None:
            proxies = tuple(
                ProxyFact(name, f"uid-{name}", generation, dict(weights), None, reported_at=moment)
                for name, (generation, weights, moment) in self.acked.items()
            )
            route = RouteFact(
                meta("digits"),
                self.generation,
                10_000,
                dict(self.weights),
                None,
                proxies,
                shadow=self.shadow.revision if self.shadow is not None else None,
            )

        facts = Facts(
            md=self.md,
            input=self._hash_input(),
            golden=golden_hash(self.md.spec.model.golden_set),
            revisions=dict(self.revisions),
            workloads={name: self._workload(name) for name in self.workloads},
            pods={name: self._pods(name) for name in self.workloads},
            jobs=tuple(self.jobs),
            route=route,
            proxies=PROXY_PODS,
            traffic=TrafficReading({}, frozenset()),
        )
        if facts.is_acknowledged:
            moment = max(at for _, _, at in self.acked.values())
            facts = replace(facts, acknowledged_at=moment)

        facts = replace(facts, measured=self._measure(facts), served=self._count_served(facts))
        if watched_level(facts, self.now) is not None:
            facts = replace(facts, worsening=self.worsening)
        if self.comparers and needs_pairs(facts):
            pages = [comparer.page() for comparer in self.comparers.values()]
            found = look_at_pairs(facts, pages, self.now, self.seen)
            facts = replace(facts, pairs=found, judgements=found.judgements)
            self.seen = found.memory
        study = study_of(facts)
        if study is None:
            return facts
        judgements = study.judge(self.answers(), self._read(facts, study), self.now)
        self.check_lengths(judgements)
        return replace(facts, judgements=judgements)

    def check_lengths(self, judgements: Sequence[Judgement]) -> None:
        """Fail where a metric would store more than the API takes."""
        lengths = {name: len(text) for name, text in texts_of(judgements).items()}
        assert all(length <= STATE_LENGTH for length in lengths.values()), lengths

    def _read(self, facts: Facts, study: Study) -> dict[str, Reading]:
        """Return what the servers counted, for the metrics that ask them."""
        arms = [self._served(facts, name) for name in (study.plan.candidate, study.plan.stable)]
        is_silent = not all(arms)
        nothing = Why(Reason.NO_SERVER, "no pod is ready")
        return {
            metric.name: nothing if is_silent else Counted(*arms)
            for metric in study.metrics
            if metric.preset is MetricPreset.TRITON_ERRORS
        }

    def _served(self, facts: Facts, revision: str) -> dict[str, Count]:
        """Every server has counted for years, and now counts as its revision does."""
        counts = [proxy.get(revision, [0, 0, 0]) for proxy in self.counts.values()]
        total, bad = (sum(column) for column in list(zip(*counts, strict=True))[:2])
        return {
            f"{pod.meta.name}.{pod.exits}": Count(YEARS_OF_REQUESTS + total, bad)
            for pod in facts.pods.get(revision, ())
            if pod.ready
        }

    def answers(self) -> Sequence[Counters | None]:
        """Return the counters that every proxy answers with; None: it does not answer."""
        return [
            counted(proxy, {name: (c[0], c[1], c[2]) for name, c in revisions.items()})
            for proxy, revisions in self.counts.items()
        ]

    def _count_served(self, facts: Facts) -> Served | None:
        if facts.candidate is None or not facts.written_weight(facts.candidate):
            return None
        return total_served(self.answers(), "digits", facts.candidate)

    def _measure(self, facts: Facts) -> MeasuredTraffic | None:
        """Measure the requests since a rollout began, as the operator does."""
        if facts.stable is None or not awaits_measurement(facts, self.now):
            self.first = None
            return None
        totals = total_traffic(self.answers(), "digits", facts.stable, self.now)
        measured = measure_traffic(self.first, totals) if self.first and totals else None
        if measured is None:
            self.first = totals
        return measured

    def _hash_input(self) -> str:
        """Return the identity of the input, which stays until somebody changes the spec."""
        spec, hashed = self._hashed
        if spec is not self.md.spec:
            spec, hashed = self._hashed = self.md.spec, input_hash(self.md.spec)
        return hashed

    def _workload(self, name: str) -> WorkloadFact:
        state = self.workloads[name]
        return a_workload(name, replicas=state.wanted, ready=state.ready)

    def _pods(self, name: str) -> tuple[PodFact, ...]:
        state = self.workloads[name]
        end = ContainerExit(139, "Error", "segmentation fault") if state.exits else None
        pods = [
            THE_SAME_POD(
                f"{name}-{number}",
                name,
                ready=number < state.ready,
                ever_ready=state.ever_ready,
                exits=state.exits,
                last_exit=end,
                not_ready_since=None if number < state.ready else state.down_since,
                unschedulable=self._refusal(number >= state.placed),
                created=state.raised,
            )
            for number in range(state.wanted)
        ]
        for number in range(state.ending):
            going = a_pod(f"{name}-ending-{number}", name, ready=False)
            pods.append(replace(going, meta=replace(going.meta, deleting=True)))
        return tuple(pods)

    def _refusal(self, has_no_place: bool) -> str | None:
        if self.places is None or not has_no_place:
            return None
        return "0/1 nodes are available: 1 Insufficient example.com/gpu. preemption: 0/1 nodes"

    # ── one pass, perhaps killed ──

    def reconcile(self, *, kill_after: int | None = None, facts: Facts | None = None) -> Decision:
        facts = facts or self.facts()
        decision = decide(facts, self.now)
        broken = find_violations(decision, facts, self.now)
        assert not broken, (self.seed, broken, self.log[-12:])
        budget = [kill_after]

        def write() -> None:
            self.writes += 1
            if budget[0] is not None:
                if budget[0] == 0:
                    raise Killed
                budget[0] -= 1

        try:
            self._execute(decision, facts, write)
        except Killed:
            self.seen = None
            self.log.append("KILLED")
        return decision

    def _execute(self, decision: Decision, facts: Facts, write: Callable[[], None]) -> None:  # noqa: PLR0912 -- the order of execute
        if decision.make_revision is not None:
            write()
            made = a_revision(self.md, created=self.now, bytes_=self.bytes_)
            self.revisions[made.name] = made
            self.versions[made.name] = made.snapshot.version

        if decision.package is not None:
            write()
            self.jobs.append(self._job("package", facts.input, decision.package))

        if decision.check is not None:
            write()
            subject = check_subject(decision.candidate or "", facts.golden)
            self.jobs.append(self._job("check", subject, decision.check))

        for end in decision.outcomes:
            write()
            known = self.revisions.get(end.revision)
            if known is not None:
                ended = replace(known, outcome=end.outcome, outcome_at=self.now)
                self.revisions[end.revision] = ended

        for name, number in decision.replicas.items():
            if number and name in self.revisions:
                if name not in self.workloads:
                    write()
                    fresh = Replicas(wanted=1, down_since=self.now, raised=self.now)
                    self.workloads[name] = fresh
                if self.workloads[name].wanted < number:
                    write()
                    self.workloads[name].wanted = number
                    self.workloads[name].raised = self.now

        if dict(decision.weights) != self.weights or decision.shadow != self.shadow:
            write()
            self.shadow = decision.shadow
            self.weights = dict(decision.weights)
            self.generation += 1
            self.weight_log.append(self._named(self.weights))
            self.log.append(f"weights {self.weight_log[-1]} {decision.reason}")

        for name, number in decision.replicas.items():
            running = self.workloads.get(name)
            if running is not None and number < running.wanted:
                write()
                self._take_away(running, number)

        self.jobs = [job for job in self.jobs if not self._is_over(job, decision, facts)]
        status = desired_status(decision, facts, None, self.now)
        if is_due(self.md.status, status, self.now):
            write()
            stored = store_memories(status, facts.judgements)
            self.md = self.md.model_copy(update={"status": stored})
            self.log.append(f"{decision.stage} {decision.reason}: {decision.message}"[:150])

    def _take_away(self, running: Replicas, number: int) -> None:
        """Scale down, as a Deployment does: first pods without a node, then those not ready."""
        running.wanted = number
        running.ready = min(running.ready, number)
        if self.places is not None and running.placed > number:
            running.ending += running.placed - number
            running.placed = number

    def _is_over(self, job: JobFact, decision: Decision, facts: Facts) -> bool:
        if job.component == "package":
            if is_job_of_look(job, facts, decision.source):
                return False
            return job.subject != facts.input or facts.wanted is not None
        return decision.candidate is None or not job.subject.startswith(decision.candidate)

    def _named(self, weights: dict[str, int]) -> dict[str, int]:
        return {self.versions[name]: w for name, w in weights.items()}

    def _job(self, component: str, subject: str, attempt: int) -> JobFact:
        name = f"{component}-{subject[:8]}-{attempt}"
        return JobFact(
            meta=meta(name),
            component=component,
            subject=subject,
            attempt=attempt,
            state=JobState.ACTIVE,
            finished=None,
            package=None,
            check=None,
            crash=None,
            created=self.now.replace(microsecond=0),
        )

    # ── what happens around it ──

    def advance(self, seconds: float = 1.0) -> None:
        self.now += timedelta(seconds=seconds)
        self._run_jobs()
        self._run_pods()
        self._acknowledge()
        self._load()
        self._compare()

    def _run_jobs(self) -> None:
        for number, job in enumerate(self.jobs):
            if job.state is not JobState.ACTIVE or self.random.random() < 0.5:
                continue
            package = check = None
            if job.component == "package":
                package = PackageResult(model_digest=digest_at(self.md, self.bytes_))
            else:
                check = self._checked(job)
            self.jobs[number] = replace(
                job, state=JobState.COMPLETE, finished=self.now, package=package, check=check
            )

    def _checked(self, job: JobFact) -> CheckResult:
        version = self.versions[job.subject.split(".")[0]]
        if self.faults.get(version) == "golden":
            return CheckResult(
                verdict=CheckVerdict.FAIL, reason="GoldenSetFailed", message="3 of 50 agree"
            )
        return CheckResult(
            verdict=CheckVerdict.PASS,
            reason="GoldenSetPassed",
            cases=50,
            agreed=50,
            keeps_state=self.keeps_state,
            streams_answers=self.streams_answers,
        )

    def _run_pods(self) -> None:
        for name, state in self.workloads.items():
            fault = self.faults.get(self.versions[name])
            self._place_pods(state)
            if fault == "crash" and state.ready and self.random.random() < 0.05:
                state.exits += 1
                state.ready = 0
                state.down_since = self.now
            elif (
                state.ready < self._startable(state)
                and fault != "never-ready"
                and self.random.random() < 0.7
            ):
                state.ready += 1 + (self._startable(state) - state.ready) // 4
                state.ever_ready = True

            if state.ready:
                state.down_since = None
            elif state.down_since is None:
                state.down_since = self.now

    def _startable(self, state: Replicas) -> int:
        return state.wanted if self.places is None else state.placed

    def _place_pods(self, state: Replicas) -> None:
        """Let pods that are told to go end, and find nodes for new ones, where places are few."""
        if self.places is None:
            return
        if state.ending and self.random.random() < 0.5:
            state.ending -= 1
        held = sum(each.placed + each.ending for each in self.workloads.values()) + self.taken
        state.placed += max(0, min(state.wanted - state.placed, self.places - held))

    def lose_place(self) -> None:
        """Somebody of a higher priority, or a lost node, takes a pod and its place."""
        victims = [state for state in self.workloads.values() if state.placed]
        if victims:
            state = self.random.choice(victims)
            state.placed -= 1
            state.ready = min(state.ready, state.placed)
            self.taken += 1
            self.log.append("PLACE LOST")

    def _acknowledge(self) -> None:
        for proxy in PROXIES:
            if self.weights is not None and self.random.random() < 0.8:
                known = self.acked.get(proxy)
                if known is None or known[0] != self.generation:
                    moment = self.now + self.skew.get(proxy, timedelta())
                    self.acked[proxy] = (self.generation, dict(self.weights), moment)

    def _load(self) -> None:
        for proxy, (_, weights, _) in self.acked.items():
            for name, weight in weights.items():
                state = self.workloads.get(name)
                fault = self.faults.get(self.versions[name])
                counts = self.counts[proxy].setdefault(name, [0, 0, 0])
                if state is None or not state.ready:
                    continue
                counts[0] += weight
                if fault == "errors":
                    counts[1] += sum(self.random.random() < 0.2 for _ in range(weight))

    def _compare(self) -> None:
        """Every comparer whose proxy has the order compares what stable answered."""
        for proxy, comparer in self.comparers.items():
            comparer.write(self.now)
            acked = self.acked.get(proxy)
            if acked is None or acked[0] != self.generation:
                continue
            stable = self.md.status.stable
            if self.shadow is None or stable is None:
                comparer.give(None)
                continue
            candidate, since = self.shadow.revision, to_wire(self.now)
            comparer.give(Order("digits", stable.revision, candidate, since))
            fault = self.faults.get(self.versions[candidate])
            pairs = self.pairs_per_second
            comparer.compare(
                pairs,
                worse=sum(fault == "errors" and self.random.random() < 0.2 for _ in range(pairs)),
                differing=sum(
                    fault == "answers" and self.random.random() < 0.1 for _ in range(pairs)
                ),
                ratio=2.0 if fault == "slow" else 1.0,
            )

    def act(self, verb: str) -> None:
        self.actions += 1
        metadata = self.md.metadata.model_copy(
            update={"annotations": {ANNOTATION_ACTION: f"{verb}#{self.actions}"}}
        )
        self.md = self.md.model_copy(update={"metadata": metadata})

    def ask_for(self, version: str, **spec: object) -> None:
        rollout = {**self.standing.get("rollout", {}), **spec.pop("rollout", {})}  # type: ignore[dict-item]
        wanted = a_model_deployment(version, **{**self.standing, **spec, "rollout": rollout})
        self.md = self.md.model_copy(update={"spec": wanted.spec})
        self.log.append(f"ASK {version}")

    def edit_weights(self, weights: dict[str, int]) -> None:
        """A person edits the route by hand."""
        self.weights = weights
        self.generation += 1
        self.log.append(f"HAND {self._named(weights)}")

    def delete_workload(self, name: str) -> None:
        """A person deletes a Deployment."""
        del self.workloads[name]
        self.log.append(f"DELETED Deployment of {self.versions[name]}")

    def delete_revision(self, name: str) -> None:
        """A person deletes a ControllerRevision."""
        del self.revisions[name]
        self.log.append(f"DELETED ControllerRevision of {self.versions[name]}")

    def lose_status(self) -> None:
        self.md = self.md.model_copy(update={"status": ModelDeploymentStatus()})
        self.log.append("STATUS LOST")

    def settle(self, seconds: int = 400) -> None:
        """Let time pass without disturbance, at most until nothing is written any more."""
        quiet = 0
        for _ in range(seconds):
            before = self.writes
            self.advance()
            self.reconcile()
            quiet = quiet + 1 if self.writes == before else 0
            if quiet >= QUIET_SECONDS:
                return

    def serving(self) -> str | None:
        full = [name for name, weight in (self.weights or {}).items() if weight == 100]
        return self.versions[full[0]] if full else None

    def stage(self) -> str:
        rollout = self.md.status.rollout
        return rollout.stage if rollout is not None else ""

    def outcomes(self) -> list[tuple[str, str]]:
        return [(entry.version, entry.outcome) for entry in self.md.status.history]

    def written_weights(self) -> list[dict[str, int]]:
        return list(self.weight_log)


Given = ParamSpec("Given")
World = TypeVar("World", bound=DecisionWorld)


def lived_once(make: Callable[Given, World]) -> Callable[Given, World]:
    """Have a beginning that many tests share lived through once: each gets a copy of its end.

    It depends on nothing but what it is given, its seed among them.
    """
    ends: dict[str, World] = {}

    @functools.wraps(make)
    def begin(*words: Given.args, **named: Given.kwargs) -> World:
        key = repr((words, sorted(named.items())))
        if key not in ends:
            ends[key] = make(*words, **named)
        return copy.deepcopy(ends[key])

    return begin
