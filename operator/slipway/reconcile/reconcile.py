"""One pass over one ModelDeployment: observe → decide → check the promises → write → say so.

The cache says that something may have changed; whatever moves traffic, promotes, rejects or removes
is decided again on what the API server says at that moment.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.conditions import Condition, ConditionStatus, ConditionType
from slipway.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from slipway.api.times import to_wire
from slipway.engine import log_context
from slipway.engine.cache import Cache
from slipway.engine.queue import Key
from slipway.errors import ChangedUnderneath, FencedError
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts, RouteFact, WorkloadFact
from slipway.policy.invariants import violations
from slipway.policy.rollout.decide import decide, remember
from slipway.policy.rollout.memory import recall
from slipway.policy.status import desired_status, is_due
from slipway.reconcile.ask_sources import Sources
from slipway.reconcile.decided import Decided, Trouble
from slipway.reconcile.execute import Executor
from slipway.reconcile.observe import (
    Children,
    facts_of,
    observe_cached,
    observe_live,
    truncate_to_millis,
    with_hook_answers,
    with_traffic,
)
from slipway.reconcile.outages import Outages
from slipway.reconcile.ports import Ports
from slipway.reconcile.projections import InvalidModelDeployment, project_object
from slipway.reconcile.refused_writes import AGAIN, RefusedWrites
from slipway.reconcile.router_pods import ProxyRepair
from slipway.reconcile.scaling import Scaler
from slipway.settings import Settings

log = logging.getLogger(__name__)

TROUBLE_AGAIN = AGAIN
WAIT_FOR_COLLECTION = 2.0
AT_ONCE = 0.0


class Reconciler:
    """Runs the passes of ModelDeployments."""

    def __init__(
        self,
        cache: Cache,
        ports: Ports,
        settings: Settings,
        *,
        router_problem: Callable[[str], str | None],
    ) -> None:
        """`router_problem` returns why a namespace's router is not as it should be."""
        self._cache = cache
        self._ports = ports
        self._settings = settings
        self._router_problem = router_problem
        self._sources = Sources(ports.metrics, ports.failures, tuple(settings.prometheus))

        self._executor = Executor(
            ports.cluster,
            ports.hooks,
            settings,
            ports_of=self._ports_of,
            epoch=ports.epoch,
        )
        self._proxies = ProxyRepair(ports.cluster)
        self._scaler = Scaler(ports.counters, ports.servers, ports.clock)
        self._outages = Outages(ports.clock)
        self._refusals = RefusedWrites(ports.clock)

    async def reconcile(self, key: Key) -> float | None:
        """Make one object true; return the seconds until the next look, None: on change only."""
        try:
            again_in = await self._pass(key)
        except (FencedError, asyncio.CancelledError):
            raise
        except Exception as error:
            trouble = self._outages.failed(key, error)
            if trouble is not None:
                await self._report_outage(key, trouble)
            raise
        self._outages.over(key)
        return again_in

    async def _pass(self, key: Key) -> float | None:
        found = self._cache.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name, object)
        if isinstance(found, InvalidModelDeployment):
            return await self._report_broken(key, found)
        if not isinstance(found, ModelDeployment) or found.metadata.deletion_timestamp:
            self._scaler.forget(key)
            self._refusals.forget(key)
            return None
        children = observe_cached(self._cache, found)
        if any(route.meta.deleting for route in children.of(RouteFact)):
            return WAIT_FOR_COLLECTION
        if await self._take_over(found, children):
            return AT_ONCE
        facts, decision = await self._look(key, found, children)
        if decision.needs_live_read:
            live = await self._read_live(key, found)
            if live is None:
                return None
            found = live
            children = await observe_live(self._ports.cluster, found)
            facts, decision = await self._look(key, found, children)
        if decision.make_revision is not None and decision.candidate is None:
            again_in = await self._begin(key, decision, facts, children)
        else:
            again_in = await self._write(key, decision, facts, children)
        return self._scaler.next_look(key, again_in)

    async def _begin(
        self, key: Key, decision: Decision, facts: Facts, children: Children
    ) -> float | None:
        """Make the revision, and go on at once with what it makes possible."""
        now = truncate_to_millis(self._ports.clock.now())
        decided = Decided(decision, facts, children, now)
        trouble = await self._refusals.unless_refused(
            (key, "revise"), decision, facts, lambda: self._executor.revise(decided)
        )
        if trouble is not None:
            decision = replace(decision, make_revision=None)
            return await self._write(key, decision, facts, children, trouble)
        children = observe_cached(self._cache, facts.md)
        facts, decision = await self._look(key, facts.md, children)
        if decision.needs_live_read or decision.make_revision is not None:
            return AT_ONCE  # needs a look at what is live, or at what the cache does not show yet
        return await self._write(key, decision, facts, children)

    async def _take_over(self, md: ModelDeployment, children: Children) -> bool:
        """Stamp the objects of a rollout under way, and return whether that was needed.

        It changes their versions, which voids every write that an earlier leader still holds.
        """
        route, epoch = children.route, self._ports.epoch()
        if md.status.candidate is None or route is None or route.epoch == epoch:
            return False
        stamp = {names.ANNOTATION_EPOCH: epoch}
        namespace = md.metadata.namespace
        for workload in children.of(WorkloadFact):
            if workload.replicas:
                await self._ports.cluster.annotate(
                    kinds.DEPLOYMENT,
                    namespace,
                    workload.meta.name,
                    uid=workload.meta.uid,
                    annotations=stamp,
                )
        await self._ports.cluster.annotate(
            kinds.MODEL_ROUTE,
            namespace,
            route.meta.name,
            uid=route.meta.uid,
            annotations=stamp,
        )
        return True

    async def _look(
        self, key: Key, md: ModelDeployment, children: Children
    ) -> tuple[Facts, Decision]:
        facts = self._facts(md, children)
        now = truncate_to_millis(self._ports.clock.now())
        facts = await with_traffic(facts, self._ports.counters, self._sources, now)
        facts = with_hook_answers(facts, self._ports.hooks)
        facts = await self._scaler.sized(key, facts)
        decision = decide(facts, truncate_to_millis(self._ports.clock.now()))
        log_context.add_fields(revision=decision.candidate or decision.stable)
        return facts, decision

    def _facts(self, md: ModelDeployment, children: Children) -> Facts:
        problem = self._router_problem(md.metadata.namespace)
        return replace(facts_of(md, children, self._settings), router_problem=problem)

    async def _read_live(self, key: Key, cached: ModelDeployment) -> ModelDeployment | None:
        manifest = await self._ports.cluster.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name)
        live = project_object(kinds.MODEL_DEPLOYMENT, manifest) if manifest else None
        if not isinstance(live, ModelDeployment) or live.metadata.deletion_timestamp:
            return None
        if live.metadata.generation < cached.metadata.generation:
            raise ChangedUnderneath(f"{key} went back to generation {live.metadata.generation}")
        return live

    async def _write(
        self,
        key: Key,
        decision: Decision,
        facts: Facts,
        children: Children,
        beside: Trouble | None = None,
    ) -> float | None:
        now = truncate_to_millis(self._ports.clock.now())
        broken = violations(decision, facts, now)
        if broken:
            log.error("a promise would be broken, nothing is written", extra={"broken": broken})
            trouble: Trouble | None = Trouble("InternalError", "; ".join(broken))
            await self._publish(recall(facts), facts, trouble)
            return TROUBLE_AGAIN.total_seconds()
        decided = Decided(decision, facts, children, now)
        trouble = await self._refusals.unless_refused(
            (key, "execute"), decision, facts, lambda: self._executor.execute(decided)
        )
        trouble = trouble or beside
        await self._proxies.heal(facts, children.router_pods, now)
        # What was not written did not happen: the status must not say that it did.
        is_done = trouble is None or trouble.is_beside
        await self._publish(decision if is_done else remember(facts, now), facts, trouble)
        look = decision.requeue_after
        if trouble is not None:
            is_judged = facts.written_weight(decision.candidate) > 0
            look = min(look or TROUBLE_AGAIN, TROUBLE_AGAIN) if is_judged else TROUBLE_AGAIN
        return look.total_seconds() if look is not None else None

    def _ports_of(self, namespace: str) -> frozenset[int]:
        routes = self._cache.in_namespace(kinds.MODEL_ROUTE, namespace, RouteFact)
        return frozenset(route.port for route in routes)

    async def _publish(self, decision: Decision, facts: Facts, trouble: Trouble | None) -> None:
        now = truncate_to_millis(self._ports.clock.now())
        pair = (trouble.reason, trouble.message[:2048]) if trouble else None
        status = desired_status(decision, facts, pair, now)
        if is_due(facts.status, status, now):
            await self._executor.write_status(facts.md, status)
            regarding = event_subject(facts.md)
            for event in decision.events:
                await self._ports.recorder.record(
                    regarding, warning=event.warning, reason=event.reason, message=event.message
                )

    async def _report_outage(self, key: Key, trouble: Trouble) -> None:
        found = self._cache.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name, object)
        if not isinstance(found, ModelDeployment):
            return
        with contextlib.suppress(Exception):  # what stopped the pass may stop this too
            facts = self._facts(found, observe_cached(self._cache, found))
            facts = await self._scaler.sized(key, facts)
            found = remember(facts, truncate_to_millis(self._ports.clock.now()))
            await self._publish(found, facts, trouble)

    async def _report_broken(self, key: Key, broken: InvalidModelDeployment) -> float | None:
        manifest = await self._ports.cluster.get(kinds.MODEL_DEPLOYMENT, key.namespace, key.name)
        if manifest is None:
            return None
        told = manifest.get("status", {}).get("conditions") or ()
        if any(entry.get("message") == broken.problem for entry in told):
            return None
        condition = Condition(
            type=ConditionType.STALLED,
            status=ConditionStatus.TRUE,
            reason="InvalidSpec",
            message=broken.problem,
            observed_generation=broken.generation,
            last_transition_time=to_wire(self._ports.clock.now()),
        )
        status = ModelDeploymentStatus(
            conditions=[condition], observed_generation=broken.generation
        )
        body = kinds.MODEL_DEPLOYMENT.manifest(
            key.namespace, key.name, status={**manifest.get("status", {}), **status.wire()}
        )
        await self._ports.cluster.apply_status(
            body, resource_version=manifest["metadata"]["resourceVersion"]
        )
        return None


def event_subject(md: ModelDeployment) -> Manifest:
    """Return the reference that events carry."""
    meta = md.metadata
    return kinds.MODEL_DEPLOYMENT.manifest(meta.namespace, meta.name, metadata={"uid": meta.uid})
