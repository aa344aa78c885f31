"""Whether gateways send requests to a ModelDeployment, as one claim; pure."""

from collections.abc import Iterator

from slipway.api.conditions import ConditionStatus, ConditionType
from slipway.api.modeldeployment import GatewayParent, GatewayStatus
from slipway.api.reasons import Reason, Why
from slipway.policy.facts import Facts
from slipway.policy.gateway import (
    ANY_HOSTNAME,
    GatewayReading,
    RouteReading,
    gateway_of,
    list_gateways,
    parent_name,
    plan_routes,
)

_REFUSALS = {
    "NotAllowedByListeners": Reason.NOT_ALLOWED_BY_LISTENERS,
    "NoMatchingParent": Reason.NO_MATCHING_PARENT,
    "NoMatchingListenerHostname": Reason.NO_MATCHING_LISTENER_HOSTNAME,
    "RefNotPermitted": Reason.REFERENCE_NOT_PERMITTED,
    "BackendNotFound": Reason.BACKENDS_NOT_RESOLVED,
    "InvalidKind": Reason.BACKENDS_NOT_RESOLVED,
    "UnsupportedProtocol": Reason.BACKENDS_NOT_RESOLVED,
}
"""By the reasons that Gateway API defines; any other is told as it is."""


def claim_gateway(facts: Facts) -> tuple[bool, Why] | None:
    """Return whether every gateway sends requests here; None: nobody asks for one.

    A pass that could not look says what the last one said.
    """
    wanted = facts.spec.traffic.gateway
    if wanted is None:
        return None
    if facts.gateway is None:
        return _repeat_last(facts)

    problem = next(_problems(facts.gateway, facts), None)
    if problem is not None:
        return False, problem
    hosts = ", ".join(_hostnames_of(facts.gateway))
    gateways = ", ".join(list_gateways(facts.md))
    message = f"{hosts or 'every hostname of a listener'} at {gateways}"
    return True, Why(Reason.GATEWAY_PROGRAMMED, message)


def describe_gateway(facts: Facts) -> GatewayStatus | None:
    """Return what is asked of gateways by now; it decides whose a hostname is."""
    wanted = facts.spec.traffic.gateway
    if wanted is None:
        return None
    reading = facts.gateway
    if reading is None or (reading.problem is not None and not reading.routes):
        return facts.status.gateway
    if not reading.routes:
        return None

    hostnames = [name for route in reading.routes for name in route.hostnames or (ANY_HOSTNAME,)]
    return GatewayStatus(
        gateways=list_gateways(facts.md),
        hostnames=list(dict.fromkeys(hostnames)),
    )


def _repeat_last(facts: Facts) -> tuple[bool, Why]:
    for entry in facts.status.conditions:
        if entry.type == ConditionType.GATEWAY_READY:
            reason = Reason.parse(entry.reason, Reason.AWAITING_GATEWAY)
            return entry.status == ConditionStatus.TRUE, Why(reason, entry.message)
    return False, Why(Reason.AWAITING_GATEWAY, "waiting for the first look at the gateways")


def _problems(reading: GatewayReading, facts: Facts) -> Iterator[Why]:
    """Yield what is wrong, what has to be put right first before what follows from it."""
    namespace = facts.metadata.namespace
    if reading.problem is not None:
        yield reading.problem
    for hostname, owner in reading.taken.items():
        what = "every hostname of a listener" if hostname == ANY_HOSTNAME else hostname
        yield Why(Reason.HOSTNAME_TAKEN, f"{what} is ModelDeployment {owner}'s")

    for gateway in sorted(reading.absent):
        yield Why(Reason.GATEWAY_NOT_FOUND, f"Gateway {gateway} does not exist")
    if facts.route is None:
        yield Why(Reason.AWAITING_GATEWAY, "waiting for a first revision to send requests to")

    found = {route.kind: route for route in reading.routes}
    for kind, plan in plan_routes(facts.md).items():
        for parent in plan.parents:
            yield from _problems_at(parent, kind, found.get(kind), namespace)
            unprogrammed = reading.gateways.get(gateway_of(parent, namespace))
            if unprogrammed is not None:
                yield Why(Reason.GATEWAY_NOT_PROGRAMMED, unprogrammed)


def _problems_at(
    parent: GatewayParent, kind: str, route: RouteReading | None, namespace: str
) -> Iterator[Why]:
    gateway = parent_name(parent, namespace)
    if route is None:
        yield Why(Reason.AWAITING_GATEWAY, f"waiting for the {kind} to be written")
        return

    answers = [answer for answer in route.answers if answer.parent == gateway]
    if not any(answer.is_current for answer in answers):
        message = f"waiting for Gateway {gateway} to take {kind} {route.name}"
        yield Why(Reason.AWAITING_GATEWAY, message)
    for answer in answers:
        if answer.is_current and answer.refusal is not None:
            reason, message = answer.refusal
            known = _REFUSALS.get(reason)
            told = f"Gateway {gateway}: {message or reason}"
            if known is None:
                told = f"Gateway {gateway}: {reason}: {message}"
            yield Why(known or Reason.ROUTE_REFUSED, told)


def _hostnames_of(reading: GatewayReading) -> list[str]:
    return list(dict.fromkeys(name for route in reading.routes for name in route.hostnames))
