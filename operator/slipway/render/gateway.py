"""What a gateway is told: an HTTPRoute, and where asked for a GRPCRoute, to the clients' Service.

The lists of a route are atomic in Gateway API, so a whole list has one owner: a rule that a person
added would go with the next apply. What exists is therefore the base of what is applied: of a rule
with our name its backends are ours, and its matches, filters and time-outs once they were made are
the user's; rules with other names are the user's as a whole. The split between two revisions is the
router's, so a rollout changes no route.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import GatewayParent
from slipway.api.protocol import Protocol
from slipway.render.envoy import GRPC_CONFIG, GRPC_HEALTH, GRPC_METHODS, GRPC_SERVICE
from slipway.render.owner import Owner

RULE_HTTP = "slipway-http"
RULE_GRPC = "slipway-grpc"
OUR_RULES = frozenset({RULE_HTTP, RULE_GRPC})
UNLIMITED = "0s"
"""Time-out of a request: gateways would end a long inference after their default, often 15 s."""
NOTHING: Mapping[str, Any] = MappingProxyType({})

_PORTS = {Protocol.HTTP: names.CLIENT_HTTP_PORT, Protocol.GRPC: names.CLIENT_GRPC_PORT}
_GRPC_PATHS = (*(f"/{GRPC_SERVICE}/{method}" for method in GRPC_METHODS), GRPC_CONFIG, GRPC_HEALTH)


def render_http_route(
    owner: Owner,
    parents: Sequence[GatewayParent],
    hostnames: Sequence[str],
    protocols: Collection[str],
    *,
    existing: Mapping[str, Any] = NOTHING,
) -> Manifest:
    """Return the HTTPRoute with rules for `protocols`; `existing` is the spec that it has now.

    gRPC takes an HTTPRoute as well: it is POST over HTTP/2, and the Service says that its port
    speaks that.
    """
    wanted = []
    if Protocol.GRPC in protocols:
        matches = [_exact_path(path) for path in _GRPC_PATHS]
        wanted.append(_rule(owner, RULE_GRPC, Protocol.GRPC, matches, is_timed=True))
    if Protocol.HTTP in protocols:
        matches = [{"path": {"type": "PathPrefix", "value": "/v2"}}]
        wanted.append(_rule(owner, RULE_HTTP, Protocol.HTTP, matches, is_timed=True))
    spec = _spec(owner, parents, hostnames, _merge(wanted, existing))
    return owner.render_child(kinds.HTTP_ROUTE, owner.name, _labels(owner), spec=spec)


def render_grpc_route(
    owner: Owner,
    parents: Sequence[GatewayParent],
    hostnames: Sequence[str],
    *,
    existing: Mapping[str, Any] = NOTHING,
) -> Manifest:
    """Return the GRPCRoute; each match names a method, because not every gateway takes others."""
    methods = (path.lstrip("/").split("/") for path in _GRPC_PATHS)
    matches = [
        {"method": {"type": "Exact", "service": service, "method": method}}
        for service, method in methods
    ]
    rule = _rule(owner, RULE_GRPC, Protocol.GRPC, matches, is_timed=False)
    spec = _spec(owner, parents, hostnames, _merge([rule], existing))
    name = names.grpc_route_name(owner.name)
    return owner.render_child(kinds.GRPC_ROUTE, name, _labels(owner), spec=spec)


def is_applied(manifest: Manifest, live: Manifest) -> bool:
    """Return whether a route has everything that would be applied."""
    wanted, found = manifest["metadata"], live["metadata"]
    uids = {owner["uid"] for owner in found.get("ownerReferences") or ()}
    return (
        all(live["spec"].get(key, []) == value for key, value in manifest["spec"].items())
        and wanted["labels"].items() <= (found.get("labels") or {}).items()
        and all(owner["uid"] in uids for owner in wanted["ownerReferences"])
    )


def _labels(owner: Owner) -> dict[str, str]:
    return names.common_labels(owner.name, names.COMPONENT_ROUTER)


def _spec(
    owner: Owner,
    parents: Iterable[GatewayParent],
    hostnames: Sequence[str],
    rules: list[Manifest],
) -> Manifest:
    return {
        "parentRefs": [_parent_ref(parent, owner.namespace) for parent in parents],
        "hostnames": list(hostnames),
        "rules": rules,
    }


def _parent_ref(parent: GatewayParent, namespace: str) -> Manifest:
    """Return the reference with every default written out, as the API server would store it."""
    section = {"sectionName": parent.section_name} if parent.section_name else {}
    return {
        "group": kinds.GATEWAY.group,
        "kind": kinds.GATEWAY.kind,
        "namespace": parent.namespace or namespace,
        "name": parent.name,
        **section,
    }


def _rule(
    owner: Owner, name: str, protocol: Protocol, matches: list[Manifest], *, is_timed: bool
) -> Manifest:
    backend = {
        "group": "",
        "kind": kinds.SERVICE.kind,
        "name": owner.name,
        "port": _PORTS[protocol],
        "weight": 1,
    }
    timeouts = {"timeouts": {"request": UNLIMITED}} if is_timed else {}
    return {"name": name, "matches": matches, "backendRefs": [backend], **timeouts}


def _exact_path(path: str) -> Manifest:
    return {"path": {"type": "Exact", "value": path}}


def _merge(wanted: Sequence[Manifest], existing: Mapping[str, Any]) -> list[Manifest]:
    """Return the rules in the order that they have: no step of a rollout shifts an index."""
    rules: Sequence[Manifest] = existing.get("rules") or ()
    present = {rule.get("name") for rule in rules}
    missing = [rule for rule in wanted if rule["name"] not in present]
    return [*_kept(rules, {rule["name"]: rule for rule in wanted}), *missing]


def _kept(rules: Iterable[Manifest], wanted: Mapping[str, Manifest]) -> Iterator[Manifest]:
    for rule in rules:
        name = rule.get("name", "")
        if name in wanted:
            yield {**rule, "backendRefs": wanted[name]["backendRefs"]}
        elif name not in OUR_RULES:
            yield rule
