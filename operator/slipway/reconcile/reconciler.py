"""One pass over one ModelDeployment: observe, decide, check the invariants, write, publish.

The cache says that something may have changed. Whatever moves traffic, promotes, rejects or removes
is decided again on what the API server says at that moment.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from slipway.api import kinds, names
from slipway.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from slipway.api.reasons import Reason, Why, shortened
from slipway.engine import log_context
from slipway.engine.cache import Cache
from slipway.engine.queue import Key
from slipway.errors import ChangedUnderneath, DependencyError, FencedError, SpecError
from slipway.policy.decision import Decision, Event
from slipway.policy.durations import measure_durations
from slipway.policy.facts import Facts, RouteFact, WorkloadFact
from slipway.policy.invariants import find_violations
from slipway.policy.rollout.decide import decide, decide_actions_only
from slipway.policy.rollout.gap import recall_gap
from slipway.policy.rollout.recall import recall
from slipway.policy.status import desired_status, invalid_condition, store_memories
from slipway.policy.status_due import is_due
from slipway.reconcile.acknowledgements import Acknowledgements
from slipway.reconcile.ask_sources import MetricSources
from slipway.reconcile.audit_trail import AuditTrail
from slipway.reconcile.decided import Decided, Trouble
from slipway.reconcile.download_watcher import DownloadWatcher
from slipway.reconcile.execute import Executor
from slipway.reconcile.gateways import GatewayKeeper
from slipway.reconcile.guard import Guard
from slipway.reconcile.image_volumes import with_cluster_version
from slipway.reconcile.observe import (
    Children,
    facts_of,
    less_evidence,
    observe_cached,
    observe_live,
    truncate_to_millis,
    with_hook_answers,
    with_traffic,
    without_evidence,
)
from slipway.reconcile.outages import Outages, reason_of
from slipway.reconcile.ports import Ports
from slipway.reconcile.projections import InvalidModelDeployment, project_object
from slipway.reconcile.promotion_watcher import PromotionWatcher
from slipway.reconcile.read_counters import RouterCounters
from slipway.reconcile.read_memory import MemoryReader
from slipway.reconcile.read_pairs import PairsReader
from slipway.reconcile.read_spec import SpecReader
from slipway.reconcile.refused_writes import RETRY_AFTER, RefusedWrites
from slipway.reconcile.router_pods import ProxyRepair, ServingRouters
from slipway.reconcile.scaled_objects import seconds_to_keda, with_keda
from slipway.reconcile.scaler import Scaler
from slipway.reconcile.service_hooks import ServiceHooks
from slipway.reconcile.traffic_meter import TrafficMeter
from slipway.reconcile.turns import Turns
from slipway.settings import Settings

log = logging.getLogger(__name__)

COLLECTION_SECONDS = 2.0
"""Until the children of an earlier object are looked at again, which are being collected."""
AT_ONCE = 0.0

T = TypeVar("T")


class Reconciler:
    """Runs the passes of ModelDeployments."""

    def __init__(
        self,
        cache: Cache,
        ports: Ports,
        settings: Settings,
        *,
        router_problem: Callable[[str], str | None],
        runs_newest_agent: Callable[[str], bool],
        is_walled: Callable[[str, str], bool],
    ) -> None:
        """Ask of a namespace's router why it is not as it should be, and what its pods run.

        `is_walled` tells of a namespace's model whether its servers may start.
        """
        self._cache = cache
        self._ports = ports
        self._settings = settings
        self._router_problem = router_problem
        self._runs_newest_agent = runs_newest_agent
        self._is_walled = is_walled
        self._guard = Guard()
        self._specs = SpecReader(settings)
        self._hooks = ServiceHooks(ports.hooks, ports.cluster, settings.hooks.allowed_hosts)
        self._sources = MetricSources(
            ports.metrics,
            ports.failures,
            MemoryReader(ports.cluster, ports.clock),
            self._guard,
            tuple(settings.prometheus),
        )

        self._executor = Executor(
            ports.cluster,
            self._hooks,
            settings,
            routes_of=self._routes_of,
            epoch=ports.epoch,
            guard=self._guard,
        )
        self._audit = AuditTrail(ports.audit)
        self._gateways = GatewayKeeper(ports.cluster, ports.clock, self._list_models)
        self._proxies = ProxyRepair(ports.cluster)
        self._serving_routers = ServingRouters()
        self._acknowledgements = Acknowledgements()
        self._counters = RouterCounters(ports.counters, ports.clock, self._guard)
        self._pairs = PairsReader(ports.pairs, self._guard)
        self._scaler = Scaler(self._counters, ports.servers, ports.clock, self._guard)
        self._meter = TrafficMeter(self._counters, ports.clock, self._guard)
        self._watcher = PromotionWatcher(self._counters, ports.clock, self._guard)
        self._downloads = DownloadWatcher(ports.downloads, ports.clock)
        self._turns = Turns(cache, settings.rollouts, ports.clock)

        self._outages = Outages(ports.clock)
        self._refused_revisions = RefusedWrites(ports.clock)
        self._refused_writes = RefusedWrites(ports.clock)

    async def reconcile(self, key: Key) -> float | None:
        """Make one object true; return the seconds until the next pass, None: on change only."""
        try:
            requeue_after = await self._reconcile(key)
        except (FencedError, asyncio.CancelledError):
            raise
        except Exception as error:
            trouble = self._outages.note_failure(key, error)
            if trouble is not None:
                await self._report_outage(key, trouble)
            raise

        self._outages.end(key)
        return requeue_after

    async def _reconcile(self, key: Key) -> float | None:
        # An object that is gone, or invalid by its own schema, has nothing to decide.
        found = self._cache.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name, object)
        if isinstance(found, InvalidModelDeployment):
            await self._report_invalid(key, found)
            return None
        if not isinstance(found, ModelDeployment) or found.metadata.deletion_timestamp:
            self._forget(key)
            return None

        self._guard.compute(
            f"recall what {key} was told", lambda: self._audit.recall(found, self._now())
        )
        gap = recall_gap(found.status)
        if gap is not None:
            await self._record_event(found, gap)

        # While the children of an earlier object of this name are being collected, wait.
        children = observe_cached(self._cache, found)
        if any(route.meta.deleting for route in children.of(RouteFact)):
            return COLLECTION_SECONDS

        # A new leader first voids what an earlier one may still write.
        if await self._take_over(found, children):
            return AT_ONCE

        # Decide on the cache; where a stale cache would do harm, decide again on live objects.
        decided = await self._decide(key, found, children)
        if decided.decision.needs_live_read:
            live = await self._read_live(key, found)
            if live is None:
                return None
            children = await observe_live(self._ports.cluster, live)
            decided = await self._decide(key, live, children)

        # A new revision comes first: what else is to be done depends on it.
        if decided.decision.make_revision is not None and decided.decision.candidate is None:
            requeue_after = await self._make_revision(key, decided)
        else:
            requeue_after = await self._carry_out(key, decided)

        # Gateways and KEDA are looked at by the clock. An object whose load is followed is, every
        # second.
        due = (
            requeue_after,
            seconds_to_keda(decided.facts),
            self._gateways.seconds_to_look(key),
            self._scaler.seconds_to_reading(key),
        )
        return min((seconds for seconds in due if seconds is not None), default=None)

    async def _decide(self, key: Key, md: ModelDeployment, children: Children) -> Decided:
        facts = self._facts_of(key, md, children)

        # what is not in the cluster's objects: traffic and metrics, answers of hooks, the load
        facts = await with_traffic(facts, self._counters, self._sources, self._guard, self._now())
        facts = await self._pairs.with_pairs(key, facts, self._now())
        facts = with_hook_answers(facts, self._hooks, self._guard)
        facts = await with_keda(facts, self._ports.cluster, self._now())
        facts = await self._scaler.with_sizing(key, facts)
        facts = await self._meter.with_measured_traffic(key, facts)
        facts = await self._watcher.with_worsening(key, facts)
        facts = await self._downloads.with_download(key, facts)
        facts = await with_cluster_version(facts, self._ports.cluster)
        facts = await self._gateways.with_gateway(key, facts)

        # Nothing is awaited from here to the note: two passes must not both find the last place.
        now = self._now()
        facts = self._turns.with_turn(facts)
        decision, facts = self._with_sound_evidence(
            f"decide on {key}", facts, lambda sound: decide(sound, now)
        )
        self._turns.note(facts, decision)
        log_context.add_fields(revision=decision.candidate or decision.stable)
        return Decided(decision, facts, children, now)

    def _with_sound_evidence(
        self, what: str, facts: Facts, conclude: Callable[[Facts], T]
    ) -> tuple[T, Facts]:
        """Return what follows, and the facts without the evidence that nothing follows from."""
        result = self._guard.compute(what, lambda: conclude(facts))
        if not isinstance(result, Why):
            return result, facts

        # as much of the evidence as possible stays: a drain needs the traffic
        for lesser in less_evidence(facts, result):
            attempt = self._guard.compute(f"{what} with less", partial(conclude, lesser))
            if not isinstance(attempt, Why):
                return attempt, lesser

        bare = without_evidence(facts, result)
        return conclude(bare), bare

    async def _make_revision(self, key: Key, decided: Decided) -> float | None:
        """Make the revision, and carry out at once what it makes possible."""
        trouble = await self._refused_revisions.unless_refused(
            key, decided, self._executor.make_revision
        )
        if trouble is not None:
            without = replace(decided.decision, make_revision=None)
            return await self._carry_out(key, replace(decided, decision=without), trouble)

        await self._tell_warnings(decided)
        md = decided.facts.md
        decided = await self._decide(key, md, observe_cached(self._cache, md))
        if decided.decision.needs_live_read or decided.decision.make_revision is not None:
            return AT_ONCE  # the next pass reads live, or the cache does not show the revision yet
        return await self._carry_out(key, decided)

    async def _carry_out(
        self, key: Key, decided: Decided, earlier: Trouble | None = None
    ) -> float | None:
        decision, facts = decided.decision, decided.facts

        # A decision that breaks an invariant is a bug of ours: nothing of it is written.
        broken = find_violations(decision, facts, decided.now)
        if broken:
            log.error("invariant violated; nothing written", extra={"broken": broken})
            trouble: Trouble | None = Trouble(Why(Reason.INTERNAL_ERROR, "; ".join(broken)))
            await self._publish(recall(facts), facts, trouble)
            return RETRY_AFTER.total_seconds()

        trouble = await self._refused_writes.unless_refused(key, decided, self._executor.execute)
        if trouble is None:
            await self._tell_warnings(decided)
        trouble = trouble or earlier
        unrepaired = await self._repair_proxies(decided)
        trouble = trouble or unrepaired

        # What a gateway refuses holds up nothing either: a condition tells it.
        facts = await self._gateways.write(key, facts)

        # The status comes last: what was not written did not happen, and it must not say otherwise.
        is_written = trouble is None or trouble.is_secondary
        published = decision if is_written else decide_actions_only(facts, decided.now)
        await self._publish(published, facts, trouble)
        return _requeue_seconds(decided, trouble)

    async def _repair_proxies(self, decided: Decided) -> Trouble | None:
        """Repair the set of proxies; what is refused of that holds up nothing that was decided."""
        try:
            await self._proxies.repair(decided.facts, decided.children.router_pods, decided.now)
        except ChangedUnderneath:
            return None  # the next pass sees what exists by then
        except DependencyError as error:
            return Trouble(Why(reason_of(error), str(error)), is_secondary=True)
        return None

    async def _tell_warnings(self, decided: Decided) -> None:
        """Say in an event what packaging left out or could not find out."""
        result = decided.decision.make_revision
        if result is not None and result.warnings:
            await self._record(
                decided.facts.md,
                warning=True,
                reason=Reason.PACKAGED_WITH_WARNINGS,
                message=shortened("; ".join(result.warnings)),
            )

    async def _publish(self, decision: Decision, facts: Facts, trouble: Trouble | None) -> None:
        """Write the status if it is due; events follow it, so that none is recorded twice."""
        now = self._now()
        why = trouble.why if trouble is not None else None
        name = f"{facts.metadata.namespace}/{facts.metadata.name}"
        described, facts = self._with_sound_evidence(
            f"describe {name}", facts, lambda sound: desired_status(decision, sound, why, now)
        )
        if not is_due(facts.status, described, now):
            return

        status, facts = self._with_sound_evidence(
            f"encode what is remembered of {name}",
            facts,
            lambda sound: store_memories(described, sound.judgements),
        )
        try:
            await self._write_status(facts, status)
        except SpecError as error:
            # Evidence that no status can hold is left out: what was decided must be stored.
            if not facts.judgements:
                raise
            log.exception("the status was refused with its evidence")
            refused = Why(Reason.INTERNAL_ERROR, f"the status was refused: {error}")
            facts = without_evidence(facts, refused)
            status = desired_status(decision, facts, why, now)
            await self._write_status(facts, status)

        # Like the events, audit trail and figures tell of nothing that was not written.
        self._audit.tell(decision, facts, now)
        self._guard.compute(f"count durations of {name}", lambda: self._count(facts, status))
        for event in decision.events:
            await self._record_event(facts.md, event)

    def _count(self, facts: Facts, written: ModelDeploymentStatus) -> None:
        """Count what ended with a status that has just been written."""
        weight = facts.written_weight(facts.candidate)
        for duration in measure_durations(facts.status, written, written_weight=weight):
            self._ports.durations.observe_duration(duration)

    async def _write_status(self, facts: Facts, status: ModelDeploymentStatus) -> None:
        metadata = facts.metadata
        await self._executor.write_status(
            metadata.namespace,
            metadata.name,
            status.wire(),
            resource_version=metadata.resource_version,
        )

    async def _record_event(self, md: ModelDeployment, event: Event) -> None:
        await self._record(md, warning=event.warning, reason=event.reason, message=event.message)

    async def _record(
        self, md: ModelDeployment, *, warning: bool, reason: str, message: str
    ) -> None:
        metadata = md.metadata
        regarding = kinds.MODEL_DEPLOYMENT.manifest(
            metadata.namespace, metadata.name, metadata={"uid": metadata.uid}
        )
        await self._guard.ask(
            f"record an event about {metadata.namespace}/{metadata.name}",
            lambda: self._ports.recorder.record(
                regarding, warning=warning, reason=reason, message=message
            ),
        )

    async def _take_over(self, md: ModelDeployment, children: Children) -> bool:
        """Stamp the objects of a rollout under way, and return whether that was needed.

        It changes their versions, which voids every write that an earlier leader still holds.
        """
        route, epoch = children.route, self._ports.epoch()
        if md.status.candidate is None or route is None or route.epoch == epoch:
            return False

        # the route is last: its stamp says that all of them have it
        running = [item.meta for item in children.of(WorkloadFact) if item.replicas]
        objects = [(kinds.DEPLOYMENT, meta) for meta in running]
        objects.append((kinds.MODEL_ROUTE, route.meta))
        for kind, meta in objects:
            await self._ports.cluster.annotate(
                kind,
                md.metadata.namespace,
                meta.name,
                uid=meta.uid,
                annotations={names.ANNOTATION_EPOCH: epoch},
            )
        return True

    async def _read_live(self, key: Key, cached: ModelDeployment) -> ModelDeployment | None:
        manifest = await self._ports.cluster.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name)
        live = project_object(kinds.MODEL_DEPLOYMENT, manifest) if manifest else None
        if not isinstance(live, ModelDeployment) or live.metadata.deletion_timestamp:
            return None
        if live.metadata.generation < cached.metadata.generation:
            raise ChangedUnderneath(f"{key} went back to generation {live.metadata.generation}")
        return live

    async def _report_outage(self, key: Key, trouble: Trouble) -> None:
        """Publish what keeps passes from ending, as far as it lets this write through."""
        found = self._cache.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name, object)
        if not isinstance(found, ModelDeployment):
            return

        try:
            facts = self._facts_of(key, found, observe_cached(self._cache, found))
            facts = await self._scaler.with_sizing(key, facts)
            await self._publish(decide_actions_only(facts, self._now()), facts, trouble)
        except FencedError:
            raise
        except Exception as error:  # noqa: BLE001 -- what stopped the pass may stop this as well
            # Where the status is what cannot be written, an event tells it.
            log.warning("status not written: %s", error)
            why = trouble.why
            await self._record(found, warning=True, reason=why.reason, message=why.message)

    async def _report_invalid(self, key: Key, invalid: InvalidModelDeployment) -> None:
        """Publish what is invalid, unless the status says so already."""
        manifest = await self._ports.cluster.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name)
        if manifest is None:
            return

        stored = manifest.get("status", {})
        stalled = invalid_condition(invalid.problem, invalid.generation, self._now())
        conditions = stored.get("conditions") or ()
        if stalled.message in {entry.get("message") for entry in conditions}:
            return

        # Only this is ours to say: the rest may be what a newer operator relies on.
        others = [entry for entry in conditions if entry.get("type") != stalled.type]
        status = {
            **stored,
            "conditions": [*others, stalled.wire()],
            "observedGeneration": invalid.generation,
        }
        await self._executor.write_status(
            key.namespace,
            key.name,
            status,
            resource_version=manifest["metadata"]["resourceVersion"],
        )

    def _facts_of(self, key: Key, md: ModelDeployment, children: Children) -> Facts:
        namespace, now = md.metadata.namespace, self._now()
        proxies = self._serving_routers.find(children.router_pods, children.route, now)
        spec = self._specs.read(md)
        facts = facts_of(md, children, spec, self._settings, proxies=proxies)
        facts = replace(
            facts,
            router_problem=self._router_problem(namespace),
            runs_newest_agent=self._runs_newest_agent(namespace),
            awaits_policies=not self._is_walled(namespace, md.metadata.name),
        )
        return self._acknowledgements.note(key, facts, now)

    def _routes_of(self, namespace: str) -> list[RouteFact]:
        return self._cache.in_namespace(kinds.MODEL_ROUTE, namespace, RouteFact)

    def _list_models(self) -> Iterator[ModelDeployment]:
        for entry in self._cache.entries(kinds.MODEL_DEPLOYMENT):
            if isinstance(entry.value, ModelDeployment):
                yield entry.value

    def _forget(self, key: Key) -> None:
        self._gateways.forget(key)
        self._scaler.forget(key)
        self._meter.forget(key)
        self._pairs.forget(key)
        self._watcher.forget(key)
        self._downloads.forget(key)
        self._acknowledgements.forget(key)
        self._refused_revisions.forget(key)
        self._refused_writes.forget(key)

    def _now(self) -> datetime:
        return truncate_to_millis(self._ports.clock.now())


def _requeue_seconds(decided: Decided, trouble: Trouble | None) -> float | None:
    after = decided.decision.requeue_after
    if trouble is not None:
        # refused writes are retried later; a candidate under traffic is judged as before
        is_judged = decided.facts.written_weight(decided.decision.candidate) > 0
        after = min(after or RETRY_AFTER, RETRY_AFTER) if is_judged else RETRY_AFTER
    return after.total_seconds() if after is not None else None
