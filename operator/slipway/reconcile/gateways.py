"""Keeps the routes of gateways, and looks at what gateways say of them.

Nothing is watched: the kinds exist only where somebody installed them, and may come and go while
the operator runs. Looks are seldom, and only at what a spec names. Whatever fails here is told by
the condition GatewayReady; no rollout waits for it, because the router splits the traffic.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.reasons import Reason, Why
from slipway.engine.queue import Key
from slipway.errors import (
    ChangedUnderneath,
    ConflictError,
    DependencyError,
    Forbidden,
    KindNotServed,
    SpecError,
)
from slipway.policy.facts import Facts
from slipway.policy.gateway import (
    ANY_HOSTNAME,
    GatewayReading,
    RoutePlan,
    RouteReading,
    find_taken,
    list_gateways,
    plan_routes,
)
from slipway.policy.gateway_claim import claim_gateway
from slipway.reconcile import render_inputs
from slipway.reconcile.gateway_objects import find_unprogrammed, read_route
from slipway.reconcile.outages import reason_of
from slipway.reconcile.ports import Clock, Cluster
from slipway.render.gateway import is_applied, render_grpc_route, render_http_route

WAITING = timedelta(seconds=3)
"""Between two looks while a gateway is waited for, or has refused."""
RESTING = timedelta(seconds=30)
EARLY = timedelta(seconds=1)
LOOK_AGAIN = -1
"""A generation that no object has."""

Others = Callable[[], Iterable[ModelDeployment]]


@dataclass(slots=True)
class _Look:
    """The last look at what one ModelDeployment names."""

    at: datetime
    generation: int
    reading: GatewayReading
    live: dict[str, Manifest] = field(default_factory=dict)
    """Routes of our name by kind, ours or not."""
    is_fine: bool = False


class GatewayKeeper:
    """Writes HTTPRoutes and GRPCRoutes, and remembers the last look at each."""

    def __init__(self, cluster: Cluster, clock: Clock, others: Others) -> None:
        """`others` returns every ModelDeployment that is known: a hostname has one owner."""
        self._cluster = cluster
        self._clock = clock
        self._others = others
        self._looks: dict[Key, _Look] = {}
        self._left: dict[str, set[str]] = {}
        """By namespace: who has routes there, as far as they were listed or written."""

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists; its routes are collected with it."""
        self._looks.pop(key, None)

    def seconds_to_look(self, key: Key) -> float | None:
        """Return when the next look is due; None: none is."""
        look = self._looks.get(key)
        if look is None:
            return None
        due = (look.at + _patience(look) - self._clock.now()).total_seconds()
        return max(due, EARLY.total_seconds())

    async def with_gateway(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with what gateways say; it never raises but for a lost Lease."""
        if facts.spec.traffic.gateway is None:
            self.forget(key)
            await self._list_left(facts.metadata.namespace)
            return facts

        look, now = self._looks.get(key), self._clock.now()
        generation = facts.metadata.generation
        is_fresh = look is not None and timedelta(0) <= now - look.at < _patience(look) - EARLY
        if look is None or look.generation != generation or not is_fresh:
            look = self._looks[key] = await self._look(facts.md, now)
        return replace(facts, gateway=look.reading)

    async def write(self, key: Key, facts: Facts) -> Facts:
        """Write the routes that are due; return the facts with what is known then.

        Raises:
            FencedError: this process must not write any more.

        """
        if facts.spec.traffic.gateway is None:
            await self._remove_left(facts)
            return facts

        look = self._looks.get(key)
        if look is not None and look.reading.problem is None and facts.route is not None:
            look.reading = await self._write_all(facts, look)
            facts = replace(facts, gateway=look.reading)

        claim = claim_gateway(facts)
        if look is not None:
            look.is_fine = claim is not None and claim[0]
        return facts

    # ── looking ──

    async def _look(self, md: ModelDeployment, now: datetime) -> _Look:
        namespace, name = md.metadata.namespace, md.metadata.name
        try:
            found = await asyncio.gather(
                *(self._get(kind, namespace, name) for kind in kinds.GATEWAY_ROUTES)
            )
        except DependencyError as error:
            return _Look(now, md.metadata.generation, GatewayReading(problem=_why(error)))

        live = {each["kind"]: each for each in found if each is not None}
        reading = GatewayReading(
            routes=_read_routes(live.values(), md.metadata.uid),
            taken=find_taken(md, self._others()),
        )
        reading = await self._with_gateways(reading, list_gateways(md))
        return _Look(now, md.metadata.generation, reading, live)

    async def _with_gateways(
        self, reading: GatewayReading, gateways: Sequence[str]
    ) -> GatewayReading:
        """Add the Gateways; one that may not be read, as in another's namespace, is left out."""
        states: dict[str, str | None] = {}
        absent = set()
        for gateway in gateways:
            namespace, name = gateway.split("/")
            try:
                manifest = await self._cluster.get(kinds.GATEWAY, namespace, name)
            except DependencyError:
                continue
            if manifest is None or "deletionTimestamp" in manifest["metadata"]:
                absent.add(gateway)
            else:
                states[gateway] = find_unprogrammed(manifest)
        return replace(reading, gateways=states, absent=frozenset(absent))

    # ── writing ──

    async def _write_all(self, facts: Facts, look: _Look) -> GatewayReading:
        plans, uid = plan_routes(facts.md), facts.metadata.uid
        problem = None
        for kind in kinds.GATEWAY_ROUTES:
            live, plan = look.live.get(kind.kind), plans.get(kind.kind)
            is_ours = live is not None and _owner_uid(live) == uid
            hostnames = _free_hostnames(plan, look.reading.taken) if plan is not None else None
            if plan is not None and hostnames is not None:
                step = partial(self._apply, facts.md, plan, kind, hostnames, look)
            elif is_ours and live is not None:
                step = partial(self._delete, kind, live, look)
            else:
                continue
            problem = problem or await _attempt(step)

        routes = _read_routes(look.live.values(), uid)
        return replace(look.reading, routes=routes, problem=problem)

    async def _apply(
        self,
        md: ModelDeployment,
        plan: RoutePlan,
        kind: Kind,
        hostnames: tuple[str, ...],
        look: _Look,
    ) -> None:
        live = look.live.get(kind.kind)
        if live is not None and _owner_uid(live) != md.metadata.uid:
            raise ConflictError(
                f"{kind.kind} {md.metadata.namespace}/{_route_name(kind, md.metadata.name)} exists "
                "and is not Slipway's; rename the ModelDeployment or remove it"
            )

        manifest = _render(md, plan, kind, hostnames, live)
        if live is not None and is_applied(manifest, live):
            return
        uid = None
        if live is not None:
            # What a person adds meanwhile must not be lost: the lists are applied as a whole.
            uid = live["metadata"]["uid"]
            read = {"resourceVersion": live["metadata"]["resourceVersion"]}
            manifest = {**manifest, "metadata": {**manifest["metadata"], **read}}

        look.generation = LOOK_AGAIN  # whatever comes of it, what was read is no longer true
        look.live[kind.kind] = await self._cluster.apply(manifest, existing_uid=uid)
        self._left.setdefault(md.metadata.namespace, set()).add(md.metadata.name)

    async def _delete(self, kind: Kind, live: Manifest, look: _Look) -> None:
        metadata = live["metadata"]
        look.generation = LOOK_AGAIN
        await self._cluster.delete(
            kind, metadata["namespace"], metadata["name"], uid=metadata["uid"]
        )
        del look.live[kind.kind]

    # ── what was written before nobody asked for a gateway any more ──

    async def _list_left(self, namespace: str) -> None:
        """List our routes of a namespace once: an earlier process may have left some."""
        if namespace in self._left:
            return
        ours = {names.MANAGED_BY: names.MANAGER}
        try:
            found = [
                route
                for kind in kinds.GATEWAY_ROUTES
                for route in await self._cluster.list(kind, namespace, ours)
            ]
        except (KindNotServed, Forbidden):
            found = []  # then nothing of ours can be removed either
        except DependencyError:
            return
        self._left[namespace] = {
            route["metadata"]["labels"].get(names.LABEL_OWNER, "") for route in found
        }

    async def _remove_left(self, facts: Facts) -> None:
        namespace, name = facts.metadata.namespace, facts.metadata.name
        if name not in self._left.get(namespace, ()):
            return
        try:
            for kind in kinds.GATEWAY_ROUTES:
                live = await self._get(kind, namespace, name)
                if live is not None and _owner_uid(live) == facts.metadata.uid:
                    found = live["metadata"]
                    await self._cluster.delete(kind, namespace, found["name"], uid=found["uid"])
        except DependencyError:
            return  # the next pass tries again
        self._left[namespace].discard(name)

    async def _get(self, kind: Kind, namespace: str, owner: str) -> Manifest | None:
        return await self._cluster.get(kind, namespace, _route_name(kind, owner))


def _route_name(kind: Kind, owner: str) -> str:
    return owner if kind is kinds.HTTP_ROUTE else names.grpc_route_name(owner)


def _patience(look: _Look) -> timedelta:
    return RESTING if look.is_fine else WAITING


def _why(error: DependencyError) -> Why:
    match error:
        case KindNotServed():
            message = "the cluster does not serve HTTPRoute and GRPCRoute of "
            return Why(Reason.GATEWAY_API_MISSING, message + kinds.HTTP_ROUTE.api_version)
        case Forbidden():
            return Why(Reason.GATEWAYS_FORBIDDEN, str(error))
        case _:
            return Why(reason_of(error), str(error))


async def _attempt(step: Callable[[], Awaitable[None]]) -> Why | None:
    """Take a step; return why it was refused."""
    try:
        await step()
    except ChangedUnderneath:
        return None  # the next look sees what exists by then
    except SpecError as error:
        return Why(Reason.ROUTE_REFUSED, str(error))
    except ConflictError as error:
        return Why(Reason.CONFLICT, str(error))
    except DependencyError as error:
        return _why(error)
    return None


def _read_routes(manifests: Iterable[Manifest], uid: str) -> tuple[RouteReading, ...]:
    return tuple(read_route(each) for each in manifests if _owner_uid(each) == uid)


def _owner_uid(manifest: Manifest) -> str | None:
    owners = manifest["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _free_hostnames(plan: RoutePlan, taken: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the hostnames that nobody else has; None: nothing is left of the plan."""
    if not plan.hostnames:
        return None if ANY_HOSTNAME in taken else ()
    return tuple(name for name in plan.hostnames if name not in taken) or None


def _render(
    md: ModelDeployment,
    plan: RoutePlan,
    kind: Kind,
    hostnames: tuple[str, ...],
    live: Manifest | None,
) -> Manifest:
    owner, existing = render_inputs.owner_of(md), live["spec"] if live is not None else {}
    if kind is kinds.GRPC_ROUTE:
        return render_grpc_route(owner, plan.parents, hostnames, existing=existing)
    return render_http_route(owner, plan.parents, hostnames, plan.protocols, existing=existing)
