"""Traffic: how clients reach the model."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.access import Access
from slipway.api.base import ATOMIC, ApiModel, cel_rule
from slipway.api.modeldeployment.gateway import Gateway
from slipway.api.modeldeployment.packaging import LocalSecret
from slipway.api.modelroute import ClientCertificates, ClientName, HeaderMatch, TLSVersion


class RouterKind(StrEnum):
    """What splits the traffic."""

    AUTO = "Auto"
    """The same as Builtin."""
    BUILTIN = "Builtin"
    """The router of the namespace: Envoy, run by Slipway."""


class Plaintext(StrEnum):
    """What becomes of connections without TLS, where there is a certificate."""

    REFUSED = "Refused"
    """They are closed."""
    ALLOWED = "Allowed"
    """The same ports take them too, so that clients can move one by one."""


_HAS_CALLERS = (
    "has(self.access) && (has(self.access.apiKeys) || has(self.access.serviceAccounts) "
    "|| size(self.access.jwt) > 0)"
)
TRAFFIC_RULES: list[Any] = [
    cel_rule(
        "!has(self.access) || !has(self.access.rateLimit) || has(self.clientCASecretRef) "
        f"|| {_HAS_CALLERS}",
        "a limit for each caller needs callers that are told apart: add access.apiKeys, "
        "access.jwt, access.serviceAccounts or clientCASecretRef",
        ".access",
    ),
    cel_rule(
        f"!has(self.clientCASecretRef) || self.clientCertificates != 'Optional' || {_HAS_CALLERS}",
        "callers without a certificate need another way to say who they are: add access.apiKeys, "
        "access.jwt or access.serviceAccounts, or remove clientCertificates: Optional",
        ".clientCertificates",
    ),
    cel_rule(
        "!has(self.clientCASecretRef) || has(self.tlsSecretRef)",
        "client certificates need TLS: add tlsSecretRef",
        ".clientCASecretRef",
    ),
    cel_rule(
        "size(self.clientNames) == 0 || has(self.clientCASecretRef)",
        "names of client certificates need their authority: add clientCASecretRef",
        ".clientNames",
    ),
    cel_rule(
        "!has(self.clientCASecretRef) || self.clientCertificates != 'Required' "
        "|| self.plaintext != 'Allowed'",
        "a connection without TLS has no client certificate: remove plaintext: Allowed, or set "
        "clientCertificates: Optional",
        ".plaintext",
    ),
]


class Traffic(ApiModel):
    """How clients reach the model."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": TRAFFIC_RULES}}

    router: RouterKind = RouterKind.AUTO
    """What splits the traffic; Auto and Builtin are the same."""
    gateway: Gateway | None = None
    """Gateways through which clients outside the cluster reach the model. They need the chart's
    setting gateway.enabled, and Gateway API 1.4 or newer in the cluster. Default: none."""
    candidate_header: HeaderMatch | None = None
    """Header that sends a request to the candidate once its checks have passed. Default: none."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout in seconds; 0 means none."""
    tls_secret_ref: LocalSecret | None = None
    """Secret of type kubernetes.io/tls, as cert-manager writes it. With it both ports of the
    Service speak TLS, with HTTP/1.1, HTTP/2 and gRPC. The ServiceAccount slipway-router needs the
    right to list and watch that Secret. Default: none, no TLS."""
    tls_min_version: TLSVersion = TLSVersion.TLS_1_2
    """Lowest version of TLS that clients may speak."""
    plaintext: Plaintext = Plaintext.REFUSED
    """Whether the same ports also take connections without TLS, where there is a certificate."""
    client_ca_secret_ref: Annotated[LocalSecret | None, Field(alias="clientCASecretRef")] = None
    """Secret with the authority of the clients' certificates in `ca.crt`, and where there are any
    the lists of revoked certificates in `ca.crl`. Clients then show a certificate too (mutual
    TLS). The ServiceAccount slipway-router needs the right to list and watch that Secret.
    Default: none, no certificate is asked for."""
    client_names: Annotated[list[ClientName], Field(max_length=64, json_schema_extra=ATOMIC)] = []
    """Subject alternative names (DNS, URI or e-mail) of which a client's certificate must have one:
    a whole name, or a beginning before `*` (`spiffe://example.org/ns/vision/*`), or an end after
    `*.` (`*.vision.svc`). With an empty list any certificate of the authority will do."""
    client_certificates: ClientCertificates = ClientCertificates.REQUIRED
    """Whether a connection without a client certificate is closed (Required), or taken (Optional),
    where clientCASecretRef is set."""

    access: Access | None = None
    """Who may call, by which keys or tokens, how often, and what is written down of it. Default:
    anybody who reaches the router."""

    @property
    def needs_newest_agent(self) -> bool:
        """Whether an agent of an earlier release would leave open what this closes."""
        return self.tls_secret_ref is not None or self.access is not None

    @property
    def says_who_may_call(self) -> bool:
        """Whether the router refuses clients that show no key, token or certificate."""
        by_key_or_token = self.access is not None and self.access.has_callers
        return by_key_or_token or self.client_ca_secret_ref is not None
