"""Who may call a model, how often, and what is written down of it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, ObjectName, cel_rule, list_map

KEY_NAME = r"^[-._a-zA-Z0-9]+$"
"""What an entry of a Secret may be called."""
KeyName = Annotated[str, Field(pattern=KEY_NAME, max_length=253)]
Printable = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=253)]
Subject = Annotated[str, Field(pattern=r"^[!-)+-~][ -)+-~]*\*?$", max_length=253)]
"""Printable ASCII, whole or as a beginning before a `*`."""
NAMESPACE_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

JWKS_RULES: list[Any] = [
    cel_rule(
        "has(self.url) != has(self.configMapRef)",
        "a key set needs exactly one of url and configMapRef",
    ),
    cel_rule(
        "!has(self.url) || self.url.startsWith('https://') "
        "|| self.url.matches('^http://[-a-z0-9.]+[.]svc([.]cluster[.]local)?(:[0-9]+)?(/|$)')",
        "expected https://, or http:// of a Service of the cluster (http://name.namespace.svc)",
        ".url",
    ),
    cel_rule(
        "!has(self.caConfigMapRef) || (has(self.url) && self.url.startsWith('https://'))",
        "certificates to trust are for an address of https://: remove caConfigMapRef, or set url",
        ".caConfigMapRef",
    ),
]


class LocalObject(ApiModel):
    """An object in the ModelDeployment's own namespace."""

    name: ObjectName
    """Name of the object."""


class LocalEntry(ApiModel):
    """An entry of an object in the ModelDeployment's own namespace."""

    name: ObjectName
    """Name of the object."""
    key: KeyName = "jwks.json"
    """Name of the entry."""


class LocalAuthority(ApiModel):
    """An entry of a ConfigMap in the ModelDeployment's own namespace, with certificates."""

    name: ObjectName
    """Name of the ConfigMap."""
    key: KeyName = "ca.crt"
    """Name of the entry: certificates in PEM."""


class ApiKeys(ApiModel):
    """Callers that show a name and a key, by HTTP's Basic authentication."""

    secret_ref: LocalObject
    """Secret whose entries are the names of the callers, each with the hash of its key:
    `{SHA}` and the SHA-1 of the key in base64, as `htpasswd -s` writes it. The ServiceAccount
    slipway-router needs the right to list and watch that Secret."""
    names: Annotated[list[KeyName], Field(max_length=256, json_schema_extra=ATOMIC)] = []
    """Names that may call. With an empty list all in the Secret may."""


class KeySet(ApiModel):
    """Where the keys are by which tokens are checked: a JSON Web Key Set."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": JWKS_RULES}}

    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$", max_length=1024)] | None = None
    """Address, which the routers read once a minute."""
    ca_config_map_ref: LocalAuthority | None = None
    """Entry of a ConfigMap with the certificates of the authority that vouches for the address;
    slipway-router needs the right to list and watch that ConfigMap. Default: those of the image,
    which are the public ones."""
    config_map_ref: LocalEntry | None = None
    """Entry of a ConfigMap; slipway-router needs the right to list and watch that ConfigMap."""


class RequiredClaim(ApiModel):
    """A claim that a token must have."""

    path: Annotated[list[Printable], Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)]
    """Name of the claim; of a claim inside another, the names from the outside in."""
    values: Annotated[list[Printable], Field(min_length=1, max_length=64, json_schema_extra=ATOMIC)]
    """Texts of which the claim must be one, or, where it is a list, have one."""


class TokenIssuer(ApiModel):
    """Callers that show a token (JWT) of one issuer as `Authorization: Bearer`."""

    issuer: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=253)]
    """The claim `iss`."""
    audiences: Annotated[
        list[Printable], Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)
    ]
    """Texts of which the claim `aud` must have one."""
    jwks: KeySet
    """The issuer's public keys."""
    subjects: Annotated[list[Subject], Field(max_length=64, json_schema_extra=ATOMIC)] = []
    """Claims `sub` that may call, whole or as a beginning before `*`. With an empty list any."""
    claims: Annotated[list[RequiredClaim], Field(max_length=8, json_schema_extra=ATOMIC)] = []
    """Claims that a token must have, all of them."""


class ServiceAccountName(ApiModel):
    """A service account, or all of a namespace."""

    namespace: Annotated[str, Field(pattern=NAMESPACE_NAME, max_length=63)]
    """Namespace of the service account."""
    name: ObjectName | None = None
    """Its name. Default: every service account of the namespace."""


class ServiceAccounts(ApiModel):
    """Callers that show a token of a service account of this cluster."""

    audiences: Annotated[list[Printable], Field(max_length=8, json_schema_extra=ATOMIC)] = []
    """Audiences of which a token must have one. Default: the host name of the model's Service,
    `<name>.<namespace>.svc`."""
    allowed: Annotated[
        list[ServiceAccountName], Field(max_length=64, json_schema_extra=ATOMIC)
    ] = []
    """Service accounts that may call. Default: all of the ModelDeployment's own namespace."""


class RateLimit(ApiModel):
    """How often one caller may call, by each router pod."""

    requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)]
    """Requests in a second, over time; each router pod counts by itself."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests at once after a pause. Default: requestsPerSecond."""


class AccessLog(StrEnum):
    """What the routers write down of requests."""

    OFF = "Off"
    """Nothing."""
    REQUESTS = "Requests"
    """One line of JSON for each request."""


class Access(ApiModel):
    """Who may call, by any one of the ways that are named; a caller of none of them is refused."""

    api_keys: ApiKeys | None = None
    """Callers with a name and a key. Default: none."""
    jwt: Annotated[
        list[TokenIssuer], Field(max_length=4, json_schema_extra=list_map("issuer"))
    ] = []
    """Callers with a token of one of these issuers. Default: none."""
    service_accounts: ServiceAccounts | None = None
    """Callers with a token of a service account of this cluster. Default: none."""
    rate_limit: RateLimit | None = None
    """How often one caller may call. Default: no limit."""
    log: AccessLog = AccessLog.OFF
    """What the routers write to their output: one line of JSON for each request, or nothing."""

    @property
    def has_callers(self) -> bool:
        """Whether callers are told apart by keys or tokens."""
        return bool(self.api_keys or self.jwt or self.service_accounts)
