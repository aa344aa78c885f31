"""What the proxies found in what TLS and access need, as one claim; pure."""

from collections.abc import Sequence

from slipway.api.modelroute import CredentialStatus
from slipway.api.reasons import Reason, Why
from slipway.policy.facts import Facts
from slipway.policy.proxies import name_all_proxies

_WORST_FIRST = (
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_BROKEN,
    Reason.SECRET_UNREADABLE,
    Reason.SECRET_NOT_FOUND,
    Reason.CONFIG_MAP_UNREADABLE,
    Reason.CONFIG_MAP_NOT_FOUND,
    Reason.KEYS_BROKEN,
    Reason.KEY_SET_BROKEN,
    Reason.KEY_SET_UNREACHABLE,
    Reason.CERTIFICATE_EXPIRING,
    Reason.CERTIFICATE_FOR_OTHERS,
    Reason.CERTIFICATE_VALID,
    Reason.CALLERS_KNOWN,
)
_SERVES = frozenset(
    {
        Reason.CERTIFICATE_EXPIRING,
        Reason.CERTIFICATE_FOR_OTHERS,
        Reason.CERTIFICATE_VALID,
        Reason.CALLERS_KNOWN,
    }
)
"""Reasons with which clients are let in by what the user gave last."""


def claim_tls(facts: Facts) -> tuple[bool, Why] | None:
    """Return whether connections are encrypted with the newest certificate; None: nobody asks."""
    secret = facts.spec.traffic.tls_secret_ref
    if secret is None:
        return None
    if facts.route is None or facts.route.tls is None:
        return _await_route(facts)
    authority = facts.spec.traffic.client_ca_secret_ref
    clients = [f"Secret {authority.name}/ca.crt"] if authority is not None else []
    return _claim(facts, [f"Secret {secret.name}", *clients])


def claim_access(facts: Facts) -> tuple[bool, Why] | None:
    """Return whether callers are told apart by what the user gave; None: nobody asks."""
    access = facts.spec.traffic.access
    if access is None or not access.has_callers:
        return None
    if facts.route is None or facts.route.access is None:
        return _await_route(facts)

    keys = [f"Secret {access.api_keys.secret_ref.name}"] if access.api_keys is not None else []
    cluster = ["JWKS of the cluster"] if access.service_accounts is not None else []
    return _claim(facts, [*keys, *(f"JWKS of {each.issuer}" for each in access.jwt), *cluster])


def _await_route(facts: Facts) -> tuple[bool, Why]:
    if not facts.runs_newest_agent:
        message = "waiting for the namespace's routers to be replaced by newer ones"
        return False, Why(Reason.AWAITING_NEWEST_ROUTERS, message)
    return False, Why(Reason.AWAITING_PROXIES, f"waiting for {name_all_proxies(facts)}")


def _claim(facts: Facts, sources: Sequence[str]) -> tuple[bool, Why]:
    alive = {pod.meta.uid for pod in facts.proxies}
    reports = {
        proxy.name: [entry for entry in proxy.credentials if entry.source in sources]
        for proxy in (facts.route.proxies if facts.route else ())
        if proxy.uid in alive
    }
    found = [(entry, name) for name, entries in reports.items() for entry in entries]
    read = {(name, entry.source) for entry, name in found}
    for source in sources:
        late = [pod.meta.name for pod in facts.proxies if (pod.meta.name, source) not in read]
        if late or not found:
            who = ", ".join(late) or "a router pod"
            return False, Why(Reason.AWAITING_PROXIES, f"waiting for {who} to read {source}")

    entry, name = min(found, key=lambda each: (_rank(each[0]), each[1]))
    reason = Reason.parse(entry.reason, Reason.CERTIFICATE_BROKEN)
    is_of_all = all(other.reason == entry.reason for other, _ in found if _is_alike(other, entry))
    message = entry.message if is_of_all else f"{name}: {entry.message}"
    return reason in _SERVES, Why(reason, message)


def _is_alike(one: CredentialStatus, other: CredentialStatus) -> bool:
    return one.source == other.source


def _rank(entry: CredentialStatus) -> int:
    """A reason of a newer agent comes first: nobody here knows that it is harmless."""
    reason = Reason.parse(entry.reason, Reason.CERTIFICATE_EXPIRED)
    return _WORST_FIRST.index(reason) if reason in _WORST_FIRST else 0
