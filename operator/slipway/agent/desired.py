"""From what the cluster asks to what Envoy should run. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import ValidationError

from slipway.agent import endpoints as pods
from slipway.agent import weights
from slipway.agent.access_rules import find_rules
from slipway.api.base import Manifest
from slipway.api.modelroute import (
    Asleep,
    ClientCertificates,
    CredentialStatus,
    ModelRouteSpec,
    ProxyStatus,
    RouteClients,
)
from slipway.api.protocol import Protocol
from slipway.render import envoy
from slipway.render.clients import Clients
from slipway.render.envoy import Address, ClusterKey


@dataclass(frozen=True, slots=True)
class DesiredRoute:
    """A ModelRoute as the API server has it."""

    name: str
    uid: str
    generation: int
    created: str
    spec: ModelRouteSpec
    own: ProxyStatus | None
    """What this proxy last reported about it."""

    @classmethod
    def parse(cls, manifest: Manifest, pod_uid: str) -> "DesiredRoute":
        """Read a ModelRoute.

        Raises:
            ValidationError: this agent does not understand it.

        """
        metadata = manifest["metadata"]
        entries = manifest.get("status", {}).get("proxies", [])
        own = next((entry for entry in entries if entry.get("uid") == pod_uid), None)
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata["generation"],
            created=metadata.get("creationTimestamp", ""),
            spec=ModelRouteSpec.model_validate(manifest["spec"]),
            own=_parse_own_entry(own),
        )


def _parse_own_entry(entry: Manifest | None) -> ProxyStatus | None:
    """An unreadable entry counts as none, and is written again."""
    try:
        return None if entry is None else ProxyStatus.model_validate(entry)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Needed:
    """What is known of the credentials that a route needs."""

    is_known: bool = True
    """Every Secret was answered for, with whatever."""
    has_certificate: bool = False
    """Connections can be encrypted, and clients told apart where that is asked for."""
    keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names of callers, each with the hash of its key."""
    statuses: tuple[CredentialStatus, ...] = ()
    next_look: datetime | None = None
    """When more is to be said of them without any change of theirs."""

    def and_also(self, other: "Needed") -> "Needed":
        """Return what is known where a route needs both; the certificate is the matter of this."""
        moments = [each for each in (self.next_look, other.next_look) if each is not None]
        return Needed(
            is_known=self.is_known and other.is_known,
            has_certificate=self.has_certificate,
            keys=self.keys + other.keys,
            statuses=self.statuses + other.statuses,
            next_look=min(moments, default=None),
        )


NOTHING = Needed()
"""What is known where a route needs nothing."""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What one route should run now."""

    route: envoy.Route
    generation: int
    effective: weights.Weights
    standing: weights.Standing
    clusters: Mapping[ClusterKey, tuple[Address, ...]]
    """Every cluster of every backend, so that a new weight finds it warm."""
    next_change_at: float | None
    needed: Needed = NOTHING
    has_replica: bool = True
    """Every weighted revision has a pod that takes new requests."""

    @property
    def asleep(self) -> Asleep | None:
        """How requests are held that find no replica; None: they are not."""
        return self.standing.asleep


def plan_route(
    desired: DesiredRoute,
    services: Mapping[str, Sequence[pods.Endpoint]],
    before: weights.Standing | None,
    now: float,
    needed: Needed = NOTHING,
    *,
    copied: int | None = None,
    can_hold: bool = False,
) -> RoutePlan:
    """Return what a route should run now.

    Args:
        desired: the route.
        services: pods by Service.
        before: what is in force; None for a route that is new here.
        now: seconds of a monotonic clock.
        needed: what is known of its credentials.
        copied: of a million requests, for the shadow that the route asks for; None: nothing here
            compares answers.
        can_hold: whether this router can hold requests; one that cannot is not asleep.

    """
    spec = desired.spec
    names = {each.revision: each.service for each in (before.backends if before else ())}
    names |= {each.revision: each.service for each in spec.backends}
    found = {revision: services.get(service, ()) for revision, service in names.items()}

    ready = {revision: pods.count_ready(endpoints) for revision, endpoints in found.items()}
    answering = {revision: pods.count_answering(each) for revision, each in found.items()}
    decided = weights.decide_weights(
        spec.backends, desired.generation, ready, before, now, answering=answering
    )
    weighted = [revision for revision, weight in decided.effective.items() if weight > 0]
    has_replica = bool(weighted) and all(ready[revision] > 0 for revision in weighted)
    if can_hold:
        decided = _keep_holding(decided, spec.asleep, before, has_replica=has_replica)

    route = envoy.Route(
        name=desired.name,
        port=spec.port,
        weights=tuple(sorted(decided.effective.items())),
        timeout_seconds=spec.timeout_seconds,
        candidate=spec.candidate if spec.candidate in found else None,
        header=spec.candidate_header,
        encryption=_encryption_of(spec, needed),
        access=find_rules(spec, needed.keys),
        copying=_plan_copying(spec, found, copied),
        holds=decided.standing.asleep is not None,
    )
    keys = _cluster_keys(route, found)
    return RoutePlan(
        route=route,
        generation=decided.standing.generation,
        effective=decided.effective,
        standing=decided.standing,
        clusters={key: pods.routable_addresses(found[key.revision], key.protocol) for key in keys},
        next_change_at=decided.next_change_at,
        needed=needed,
        has_replica=has_replica,
    )


def _keep_holding(
    decided: weights.ProxyWeights,
    asleep: Asleep | None,
    before: weights.Standing | None,
    *,
    has_replica: bool,
) -> weights.ProxyWeights:
    """Hold requests while the route asks for it, and after that until a replica is known here.

    The operator may see the first replica before this proxy does.
    """
    held = before.asleep if before is not None and not has_replica else None
    standing = replace(decided.standing, asleep=asleep or held)
    return replace(decided, standing=standing)


def _encryption_of(spec: ModelRouteSpec, needed: Needed) -> envoy.Encryption | None:
    tls = spec.tls
    if tls is None:
        return None
    return envoy.Encryption(
        min_version=tls.min_version,
        plaintext=tls.plaintext,
        has_certificate=needed.has_certificate,
        clients=_clients_of(tls.clients),
    )


def _clients_of(asked: RouteClients | None) -> Clients | None:
    if asked is None:
        return None
    is_required = asked.certificates is ClientCertificates.REQUIRED
    return Clients(tuple(asked.names), is_required=is_required)


def _plan_copying(
    spec: ModelRouteSpec, known: Collection[str], copied: int | None
) -> envoy.Copying | None:
    shadow = spec.shadow
    if shadow is None or copied is None or shadow.revision not in known:
        return None
    return envoy.Copying(shadow.revision, copied, shadow.max_body_bytes)


def _cluster_keys(route: envoy.Route, revisions: Iterable[str]) -> set[ClusterKey]:
    plain = {
        ClusterKey(route.name, revision, protocol)
        for revision in revisions
        for protocol in Protocol
    }
    return plain | route.clusters


def find_port_conflicts(routes: Iterable[DesiredRoute]) -> dict[str, str]:
    """Return, for each route that must wait, the older one that has its port.

    The operator never assigns a port twice, but a restored backup may.
    """
    holders: dict[int, str] = {}
    losers: dict[str, str] = {}
    for each in sorted(routes, key=lambda each: (each.created, each.name)):
        holder = holders.setdefault(each.spec.port, each.name)
        if holder != each.name:
            losers[each.name] = holder
    return losers
