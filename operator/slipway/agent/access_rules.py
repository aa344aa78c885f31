"""From what a ModelRoute says of its callers to what Envoy is told; pure."""

from collections.abc import Iterator

from slipway.api.access import Access, AccessLog, ServiceAccounts, TokenIssuer
from slipway.api.modelroute import ClientCertificates, ModelRouteSpec
from slipway.render.access import AccessRules, Limit, Tokens

SERVICE_ACCOUNTS = "serviceaccounts"
"""Name of the cluster's own tokens."""


def token_name(position: int) -> str:
    """Return the name of the tokens of the issuer at that place in the list."""
    return f"jwt{position}"


def find_rules(spec: ModelRouteSpec, keys: tuple[tuple[str, str], ...]) -> AccessRules | None:
    """Return who may call; None: anybody, and nothing is written down.

    Args:
        spec: of the route.
        keys: names and hashes of the Secret that the route names.

    """
    access = spec.access
    if access is None:
        return None
    asked = access.api_keys
    limit = access.rate_limit

    return AccessRules(
        keys=keys if asked is not None else None,
        names=tuple(asked.names) if asked is not None else (),
        tokens=tuple(_tokens_of(access)),
        certificates=_is_way(spec, access),
        limit=Limit(limit.requests_per_second, limit.burst or limit.requests_per_second)
        if limit is not None
        else None,
        has_log=access.log is AccessLog.REQUESTS,
    )


def _is_way(spec: ModelRouteSpec, access: Access) -> bool:
    """Return whether a client certificate alone says who calls.

    Where every connection has one, and keys or tokens are asked for, both are.
    """
    clients = spec.tls.clients if spec.tls is not None else None
    if clients is None:
        return False
    return clients.certificates is ClientCertificates.OPTIONAL or not access.has_callers


def _tokens_of(access: Access) -> Iterator[Tokens]:
    for position, each in enumerate(access.jwt):
        yield _issued(token_name(position), each)
    if access.service_accounts is not None:
        yield _of_service_accounts(access.service_accounts)


def _issued(name: str, asked: TokenIssuer) -> Tokens:
    return Tokens(
        name=name,
        issuer=asked.issuer,
        audiences=tuple(asked.audiences),
        subjects=tuple(asked.subjects),
        claims=tuple((tuple(claim.path), tuple(claim.values)) for claim in asked.claims),
    )


def _of_service_accounts(asked: ServiceAccounts) -> Tokens:
    """The cluster signs tokens of nobody else, so its keys say who the issuer is."""
    subjects = (
        f"system:serviceaccount:{each.namespace}:{each.name or '*'}" for each in asked.allowed
    )
    return Tokens(name=SERVICE_ACCOUNTS, audiences=tuple(asked.audiences), subjects=tuple(subjects))
