"""From what the cluster asks to what Envoy should run: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from slipway.agent import endpoints as pods
from slipway.agent import weights
from slipway.api.base import Manifest
from slipway.api.modelroute import ModelRouteSpec, ProxyStatus
from slipway.api.protocol import Protocol
from slipway.render import envoy
from slipway.render.envoy import Address, ClusterKey


@dataclass(frozen=True, slots=True)
class Asked:
    """A ModelRoute as the API server has it."""

    name: str
    uid: str
    generation: int
    created: str
    spec: ModelRouteSpec
    own: ProxyStatus | None
    """What this proxy last said about it."""

    @classmethod
    def parse(cls, manifest: Manifest, pod_uid: str) -> "Asked":
        """Read a ModelRoute.

        Raises:
            ValidationError: it is none that this agent understands.

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
            own=_own(own),
        )


def _own(entry: Manifest | None) -> ProxyStatus | None:
    """An entry that cannot be read is written anew."""
    try:
        return None if entry is None else ProxyStatus.model_validate(entry)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one route should run now."""

    route: envoy.Route
    generation: int
    effective: weights.Weights
    standing: weights.Standing
    clusters: Mapping[ClusterKey, tuple[Address, ...]]
    """Every cluster of every backend, so that a weight finds it warm."""
    look_again: float | None


def want(
    asked: Asked,
    services: Mapping[str, Sequence[pods.Endpoint]],
    before: weights.Standing | None,
    now: float,
) -> Wanted:
    """Decide what a route runs.

    Args:
        asked: the route.
        services: pods by Service.
        before: what is in force; None for a route that is new here.
        now: seconds of a monotonic clock.

    """
    spec = asked.spec
    names = {each.revision: each.service for each in (before.backends if before else ())}
    names |= {each.revision: each.service for each in spec.backends}
    found = {revision: services.get(service, ()) for revision, service in names.items()}
    ready = {revision: pods.count_ready(endpoints) for revision, endpoints in found.items()}
    decision = weights.decide(spec.backends, asked.generation, ready, before, now)
    route = envoy.Route(
        name=asked.name,
        port=spec.port,
        weights=tuple(sorted(decision.effective.items())),
        timeout_seconds=spec.timeout_seconds,
        candidate=spec.candidate if spec.candidate in found else None,
        header=spec.candidate_header,
    )
    keys = _keys(route, found)
    return Wanted(
        route=route,
        generation=decision.standing.generation,
        effective=decision.effective,
        standing=decision.standing,
        clusters={key: pods.routable(found[key.revision], key.protocol) for key in keys},
        look_again=decision.look_again,
    )


def _keys(route: envoy.Route, revisions: Iterable[str]) -> set[ClusterKey]:
    plain = {
        ClusterKey(route.name, revision, protocol)
        for revision in revisions
        for protocol in Protocol
    }
    return plain | route.clusters


def taken_ports(asked: Iterable[Asked]) -> dict[str, str]:
    """Return, by the route that must wait, which older one has its port.

    The operator never gives a port twice; a restored backup may.
    """
    holders: dict[int, str] = {}
    losers: dict[str, str] = {}
    for each in sorted(asked, key=lambda each: (each.created, each.name)):
        holder = holders.setdefault(each.spec.port, each.name)
        if holder != each.name:
            losers[each.name] = holder
    return losers
