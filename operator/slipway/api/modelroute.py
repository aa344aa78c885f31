"""ModelRoute: what the operator asks of a namespace's router, and what its proxies report."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.access import Access
from slipway.api.base import (
    ATOMIC,
    ApiModel,
    Name,
    ObjectName,
    Percent,
    Revision,
    Time,
    cel_rule,
    list_map,
)
from slipway.api.golden import Compare
from slipway.api.names import ROUTE_PORTS

KIND = "ModelRoute"
PLURAL = "modelroutes"


class HeaderMatch(ApiModel):
    """A header that sends a request to the candidate, whatever its weight."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9]*$", max_length=64)]
    """Name of the header, in lower case."""
    value: Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$", min_length=1, max_length=128)]
    """Value that the header must have exactly; printable ASCII."""


class Backend(ApiModel):
    """One revision behind the route."""

    revision: Revision
    """The revision, as 8 hex digits."""
    service: Name
    """Service whose EndpointSlices list the revision's pods."""
    weight: Percent
    """Share of requests, in percent."""
    min_endpoints: Annotated[int, Field(ge=0, le=1000)] = 0
    """Ready endpoints that a proxy must know before it applies a weight above 0."""


class ShadowOutput(ApiModel):
    """How one output of the candidate is compared with stable's, in the words of golden sets."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name of the output."""
    compare: Compare
    rtol: Annotated[float, Field(ge=0, le=1)] | None = None
    """Relative tolerance, as a ratio; absent: the default of the output's datatype."""
    atol: Annotated[float, Field(ge=0, le=1_000_000_000)] | None = None
    """Absolute tolerance, in the output's own unit; absent: the default of the datatype."""


class Shadow(ApiModel):
    """Copies of users' requests that a revision answers too, without any user getting its answer.

    The router compares its answers with those that users got, and counts.
    """

    revision: Revision
    """The revision that is asked again; one of the backends, whatever its weight."""
    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """Share of the route's requests that are copied, in percent. Default: 100."""
    max_pairs_per_second: Annotated[int, Field(ge=1, le=1000)] = 20
    """Copies that each router pod takes in a second at most. Default: 20."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = 4_194_304
    """Largest request, and largest answer, that is copied, in bytes as sent. Default: 4 MiB."""
    outputs: Annotated[
        list[ShadowOutput], Field(max_length=64, json_schema_extra=list_map("name"))
    ] = []
    """Rules by output. With an empty list every output is compared, by its datatype's default;
    else those that are named."""


class TLSVersion(StrEnum):
    """A version of TLS, as Kubernetes writes it."""

    TLS_1_2 = "VersionTLS12"
    TLS_1_3 = "VersionTLS13"


class ClientCertificates(StrEnum):
    """What becomes of connections without a client certificate, where an authority is named."""

    REQUIRED = "Required"
    """They are closed."""
    OPTIONAL = "Optional"
    """They are taken; who calls over them has to say so in another way."""


CLIENT_NAME = r"^([^*\s]+\*?|\*\.[^*\s]+)$"
"""A name of a certificate: whole, as a beginning before a `*`, or as an end after `*.`."""
ClientName = Annotated[str, Field(pattern=CLIENT_NAME, min_length=2, max_length=253)]


class RouteClients(ApiModel):
    """Whose client certificates are taken."""

    secret: ObjectName
    """Secret with the authority in `ca.crt`."""
    names: Annotated[list[ClientName], Field(max_length=64, json_schema_extra=ATOMIC)] = []
    """Names of which a certificate must have one. With an empty list any will do."""
    certificates: ClientCertificates = ClientCertificates.REQUIRED
    """Whether a connection needs a certificate."""


class RouteTLS(ApiModel):
    """How clients' connections are encrypted."""

    secret: ObjectName
    """Secret of type kubernetes.io/tls with the certificate and its key."""
    min_version: TLSVersion = TLSVersion.TLS_1_2
    """Lowest version that clients may speak."""
    plaintext: bool = False
    """Whether the same port takes connections without TLS too."""
    clients: RouteClients | None = None
    """Whose client certificates are taken; absent: none is asked for."""


class Asleep(ApiModel):
    """Nothing of the model runs, or soon nothing will: the router holds requests until it does."""

    hold_seconds: Annotated[int, Field(ge=1, le=3600)] = 300
    """Seconds for which a request is held at most; then it is answered with 503."""


class ModelRouteSpec(ApiModel):
    """Written by the operator only."""

    port: Annotated[int, Field(ge=ROUTE_PORTS.start, le=ROUTE_PORTS.stop - 1)]
    """Port on every router pod; changes only if an older route of the namespace has it."""
    model: Annotated[str, Field(max_length=64)]
    """Triton's name of the model."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout in seconds; 0 means none."""
    candidate_header: HeaderMatch | None = None
    candidate: Revision | None = None
    """Revision that the candidate header reaches; absent until it has passed its checks."""
    tls: RouteTLS | None = None
    """How connections are encrypted; absent: they are not."""
    access: Access | None = None
    """Who may call; absent: anybody."""
    # Where an apply removes the last item, the API server makes it null: the default is [] again.
    backends: Annotated[
        list[Backend], Field(max_length=3, json_schema_extra=list_map("revision"))
    ] = []
    """Revisions with their weights, which sum to 100; with an empty list the router answers 503."""
    shadow: Shadow | None = None
    """Absent: nothing is copied."""
    asleep: Asleep | None = None
    """Present: requests wait until a replica is ready, and wake the model. Absent: it is awake."""


class CredentialStatus(ApiModel):
    """What a proxy found in something that TLS or access needs."""

    source: Annotated[str, Field(max_length=300)]
    """Kind and name, such as `Secret digits-tls`."""
    reason: Annotated[str, Field(max_length=64)]
    """One word, of the reasons in the documentation."""
    message: Annotated[str, Field(max_length=512)] = ""
    """What was found, with names and dates."""
    expires: Time | None = None
    """When the certificate that is served expires; absent: none is."""


class ProxyAsleep(ApiModel):
    """Says that a proxy holds the requests that find no replica."""

    asked_at: Time | None = None
    """When the first request came since the proxy has held them; absent: none came."""


class ProxyStatus(ApiModel):
    """What one proxy is running; written by its agent when it changes."""

    name: Name
    """Name of the pod."""
    uid: Annotated[str, Field(max_length=64)]
    """metadata.uid of the pod."""
    generation: int
    """metadata.generation of the ModelRoute that the proxy is running."""
    hash: Annotated[str, Field(max_length=64)]
    """Hash of the configuration that Envoy reports as running."""
    # As a whole: where an apply removes the last entry of a map, the API server makes it null.
    effective_weights: Annotated[
        dict[str, int], Field(max_length=3, json_schema_extra={"x-kubernetes-map-type": "atomic"})
    ]
    """Percent by revision; differs from the spec while the agent itself fails over."""
    error: Annotated[str, Field(max_length=512)] | None = None
    """Why the newest generation is not running; absent when it is."""
    credentials: (
        Annotated[list[CredentialStatus], Field(max_length=8, json_schema_extra=list_map("source"))]
        | None
    ) = None
    """What TLS and access need; absent where they need nothing."""
    asleep: ProxyAsleep | None = None
    """Present while the proxy holds requests that find no replica."""
    at: Time
    """When this was reported."""


class ModelRouteStatus(ApiModel):
    """Written by the routers' agents only."""

    proxies: Annotated[
        list[ProxyStatus], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = []
    """One entry for every router pod."""


class ModelRoute(ApiModel):
    """The router's part of one ModelDeployment. Slipway writes it; do not edit it."""

    spec: ModelRouteSpec
    status: ModelRouteStatus = ModelRouteStatus()


RULES = [
    cel_rule(
        "self.backends.size() == 0 || self.backends.map(b, b.weight).sum() == 100",
        "weights must sum to 100, unless there are no backends",
        ".backends",
    ),
    cel_rule(
        "!has(self.shadow) || self.backends.exists(b, b.revision == self.shadow.revision)",
        "the revision of the shadow must be one of the backends",
        ".shadow",
    ),
]
