"""Observes a ModelDeployment: reads its children, cached or live, and makes facts of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.counters import Counters
from slipway.api.modeldeployment import ModelDeployment, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.result import EXIT_OK, CheckResult, PackageResult
from slipway.api.verdict import Verdict
from slipway.engine.cache import Cache
from slipway.policy.analysis.inputs import Reading
from slipway.policy.analysis.study import Study, study_of
from slipway.policy.facts import (
    AutoscalerFact,
    Facts,
    JobFact,
    JobState,
    PodFact,
    RouteFact,
    TrafficReading,
    WorkloadFact,
)
from slipway.policy.hook_call import HookAnswer, HookCall, Said
from slipway.policy.judgement import UNJUDGED, Judgement
from slipway.policy.rollout import hooks
from slipway.policy.served import Served, total_served
from slipway.reconcile.ask_sources import MetricSources, ask_sources
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import Cluster, HookSource
from slipway.reconcile.projections import (
    JobObject,
    JobPod,
    PlainObject,
    StoredRevision,
    project_object,
)
from slipway.reconcile.read_counters import (
    CountersByPod,
    RouterCounters,
    in_flight_by_revision,
)
from slipway.reconcile.read_spec import SpecReading
from slipway.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Children:
    """What exists around a ModelDeployment."""

    objects: tuple[object, ...]
    """Projections of what it controls."""
    pods: tuple[object, ...]
    """Projections of the pods that carry its label."""
    router_pods: tuple[PodFact, ...]

    def of(self, kind: type[T]) -> list[T]:
        """Return the children with this projection."""
        return [item for item in self.objects if isinstance(item, kind)]

    @property
    def route(self) -> RouteFact | None:
        """The ModelRoute, if it exists."""
        return next(iter(self.of(RouteFact)), None)


def observe_cached(cache: Cache, md: ModelDeployment) -> Children:
    """Read from the cache: enough to see what changed, and for what a later pass can correct."""
    meta = md.metadata
    owned = cache.owned_by(meta.uid, object)

    revision_names = {stored.fact.name for stored in owned if isinstance(stored, StoredRevision)}
    jobs = {job.meta.name for job in owned if isinstance(job, JobObject)}
    pods = [
        pod
        for pod in cache.in_namespace(kinds.POD, meta.namespace, object)
        if (isinstance(pod, PodFact) and pod.model == meta.name and pod.revision in revision_names)
        or (isinstance(pod, JobPod) and pod.job in jobs)
    ]

    return Children(tuple(owned), tuple(pods), router_pods(cache, meta.namespace))


def router_pods(cache: Cache, namespace: str) -> tuple[PodFact, ...]:
    """Return the namespace's router pods."""
    pods = cache.in_namespace(kinds.POD, namespace, PodFact)
    return tuple(pod for pod in pods if pod.revision is None)


async def observe_live(cluster: Cluster, md: ModelDeployment) -> Children:
    """Read from the API server, for whatever moves traffic, promotes, rejects or removes."""
    meta = md.metadata
    ours = {names.LABEL_OWNER: meta.name}
    router = {names.LABEL_COMPONENT: names.COMPONENT_ROUTER, names.MANAGED_BY: names.MANAGER}
    owned_kinds = (
        kinds.CONTROLLER_REVISION,
        kinds.DEPLOYMENT,
        kinds.JOB,
        kinds.SERVICE,
        kinds.POD_DISRUPTION_BUDGET,
        kinds.MODEL_ROUTE,
        kinds.HORIZONTAL_POD_AUTOSCALER,
    )

    lists = await asyncio.gather(
        *(cluster.list(kind, meta.namespace, ours) for kind in (*owned_kinds, kinds.POD)),
        cluster.list(kinds.POD, meta.namespace, router),
    )

    objects = tuple(
        project_object(kind, manifest)
        for kind, manifests in zip(owned_kinds, lists, strict=False)
        for manifest in manifests
        if _is_owned_by(manifest["metadata"], meta.uid)
    )
    pods = tuple(project_object(kinds.POD, manifest) for manifest in lists[-2])
    proxies = (project_object(kinds.POD, manifest) for manifest in lists[-1])
    return Children(objects, pods, tuple(pod for pod in proxies if isinstance(pod, PodFact)))


def _is_owned_by(metadata: Manifest, uid: str) -> bool:
    owners = metadata.get("ownerReferences") or ()
    return any(owner.get("uid") == uid and owner.get("controller") for owner in owners)


def facts_of(
    md: ModelDeployment,
    children: Children,
    spec: SpecReading,
    settings: Settings,
    *,
    proxies: tuple[PodFact, ...],
) -> Facts:
    """Return what follows from the objects: traffic, answers of hooks and sizes are added later.

    `proxies` are the router pods that must acknowledge.
    """
    revisions = {stored.fact.name: stored.fact for stored in children.of(StoredRevision)}
    workloads = {item.revision: item for item in children.of(WorkloadFact)}
    pods: dict[str, tuple[PodFact, ...]] = {}
    for pod in children.pods:
        if isinstance(pod, PodFact) and pod.revision is not None:
            pods[pod.revision] = (*pods.get(pod.revision, ()), pod)
    route = children.route

    facts = Facts(
        md=md,
        input=spec.inputs[0],
        golden=spec.golden_sets[0],
        revisions=revisions,
        workloads=workloads,
        pods=pods,
        jobs=tuple(_read_jobs(children)),
        route=route if route is not None and not route.meta.deleting else None,
        proxies=proxies,
        packaged=spec.packaged,
        spec_error=spec.problem,
        requester_is_verified=settings.admission.verify_requested_by,
        autoscalers={item.revision: item for item in children.of(AutoscalerFact)},
    )
    return replace(
        facts,
        input=facts.recognise_input(spec.inputs),
        golden=facts.recognise_golden_set(spec.golden_sets),
    )


def _read_jobs(children: Children) -> Iterable[JobFact]:
    pods = sorted(
        (pod for pod in children.pods if isinstance(pod, JobPod)), key=lambda pod: pod.created
    )
    newest = {pod.job: pod for pod in pods}
    # of each Job, the pod that ended last: it has left the result
    ends = {pod.job: pod for pod in pods if pod.end}

    for job in children.of(JobObject):
        if job.meta.deleting:
            continue

        pod, last = ends.get(job.meta.name), newest.get(job.meta.name)
        text = pod.end.message if pod is not None and pod.end is not None else ""
        is_check = job.component == names.COMPONENT_CHECK
        package = None if is_check else _parse_result(PackageResult, text)
        check = _parse_result(CheckResult, text) if is_check else None
        state = JobState.COMPLETE if _is_done(pod, package or check) else job.state

        yield JobFact(
            meta=job.meta,
            component=job.component,
            subject=job.subject,
            attempt=job.attempt,
            state=state,
            finished=job.finished,
            package=package,
            check=check,
            crash=None if package or check else (text or job.failure or None),
            created=job.created,
            has_pod=last is not None,
            waits=last.waits if last is not None else None,
            address=last.address if last is not None else None,
        )


def _is_done(pod: JobPod | None, result: PackageResult | CheckResult | None) -> bool:
    """Return whether a Job has nothing more to do, which its own status says up to 2 s later.

    It waits for the end of the pod's sandbox, and counts ended pods once a second.
    """
    if pod is None or pod.end is None or result is None:
        return False
    return pod.end.code == EXIT_OK and result.error is None


R = TypeVar("R", PackageResult, CheckResult)


def _parse_result(kind: type[R], text: str) -> R | None:
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None


def needs_counters(facts: Facts) -> bool:
    """Return whether this pass must know the traffic, to judge a candidate or drain a revision."""
    status = facts.status
    rollout = status.rollout
    if facts.route is None or rollout is None:
        return False

    stage = rollout.underlying or rollout.stage
    if stage in {Stage.PROGRESSING, Stage.BAKING, Stage.ROLLING_BACK}:
        return True
    if rollout.recreate is not None and rollout.recreate.gap_started_at is not None:
        return True  # stable stops as soon as nothing is in flight: each second is one of the gap

    live = {entry.revision for entry in (status.stable, status.candidate) if entry is not None}
    return any(name not in live and workload.replicas for name, workload in facts.workloads.items())


async def with_traffic(
    facts: Facts, counters: RouterCounters, sources: MetricSources, guard: Guard, now: datetime
) -> Facts:
    """Return the facts with the traffic of this moment, and the judgements on it and on metrics.

    It never raises: what cannot be read or judged is no data, with its reason.
    """
    if not needs_counters(facts):
        return facts

    name = _full_name(facts)
    study = guard.compute(f"choose what is judged of {name}", lambda: study_of(facts))
    if isinstance(study, Why):
        ticks = await counters.read_now(facts.proxies)
        return replace(facts, traffic=_traffic_of(facts, ticks, guard), judgements=_unjudged(study))

    ticks, readings = await asyncio.gather(
        counters.read_now(facts.proxies), ask_sources(study, sources)
    )
    # A pod that is not Ready must be drained too, but its new requests are none to judge.
    heard = tuple(ticks[pod.meta.name] for pod in facts.proxies if pod.ready)
    judgements = _judge(study, heard, readings, guard, now) if study else ()
    return replace(
        facts,
        traffic=_traffic_of(facts, ticks, guard),
        judgements=judgements,
        served=_count_served(facts, ticks, guard),
    )


def less_evidence(facts: Facts, why: Why) -> Iterable[Facts]:
    """Return the facts without one kind of evidence, for each kind."""
    yield replace(facts, sizing=None)
    yield replace(facts, download=None)
    yield replace(facts, measured=None)
    yield replace(facts, served=None, worsening=None)
    yield replace(facts, judgements=_unjudged(why) if facts.judgements else (), pairs=None)
    yield replace(facts, answers={})


def without_evidence(facts: Facts, why: Why) -> Facts:
    """Return the facts of the objects alone, and why there is nothing to judge by."""
    judgements = _unjudged(why) if facts.judgements else ()
    return replace(
        facts,
        traffic=None,
        judgements=judgements,
        pairs=None,
        measured=None,
        served=None,
        worsening=None,
        sizing=None,
        download=None,
        answers={},
    )


def _judge(
    study: Study,
    ticks: Sequence[Counters | None],
    readings: Mapping[str, Reading],
    guard: Guard,
    now: datetime,
) -> tuple[Judgement, ...]:
    name = _full_name(study.facts)
    judgements = guard.compute(f"judge {name}", lambda: study.judge(ticks, readings, now))
    if not isinstance(judgements, Why):
        return judgements

    # what a source said must not keep the routers' own counters from being judged
    unread = dict.fromkeys(readings, judgements)
    judgements = guard.compute(
        f"judge {name} by the routers alone", lambda: study.judge(ticks, unread, now)
    )
    return _unjudged(judgements) if isinstance(judgements, Why) else judgements


def _unjudged(why: Why) -> tuple[Judgement, ...]:
    return (Judgement(UNJUDGED, Verdict.NO_DATA, why.reason, why.message),)


def _full_name(facts: Facts) -> str:
    return f"{facts.metadata.namespace}/{facts.metadata.name}"


def _traffic_of(facts: Facts, ticks: CountersByPod, guard: Guard) -> TrafficReading:
    in_flight = guard.compute(
        f"count the requests in flight of {_full_name(facts)}",
        lambda: in_flight_by_revision(ticks.values(), facts.metadata.name),
    )
    if isinstance(in_flight, Why):
        return TrafficReading({}, frozenset(ticks))
    return TrafficReading(
        in_flight, frozenset(name for name, tick in ticks.items() if tick is None)
    )


def _count_served(facts: Facts, ticks: CountersByPod, guard: Guard) -> Served | None:
    """Return what the candidate has served; it is what a promotion is remembered by."""
    candidate = facts.candidate
    if candidate is None or not facts.written_weight(candidate):
        return None
    served = guard.compute(
        f"count what the candidate of {_full_name(facts)} has served",
        lambda: total_served(ticks.values(), facts.metadata.name, candidate),
    )
    return None if isinstance(served, Why) else served


def with_hook_answers(facts: Facts, source: HookSource, guard: Guard) -> Facts:
    """Return the facts with the answers of hooks that have arrived."""
    answers = {call.key: _pick_up(call, source, guard) for call in hooks.calls_of(facts)}
    arrived = {key: answer for key, answer in answers.items() if answer is not None}
    return replace(facts, answers=arrived) if arrived else facts


def _pick_up(call: HookCall, source: HookSource, guard: Guard) -> HookAnswer | None:
    answer = guard.compute(
        f"take the answer of hook {call.hook.name} of {call.namespace}/{call.name}",
        lambda: source.answer(call.key),
    )
    return HookAnswer(Said.UNCLEAR, Reason.INTERNAL_ERROR) if isinstance(answer, Why) else answer


def find_service(children: Children, name: str) -> PlainObject | None:
    """Return the Service of that name that the ModelDeployment controls."""
    services = (item for item in children.of(PlainObject) if item.kind == kinds.SERVICE.kind)
    return next((item for item in services if item.meta.name == name), None)


def truncate_to_millis(moment: datetime) -> datetime:
    """Return the moment in whole milliseconds: a status holds no more."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
