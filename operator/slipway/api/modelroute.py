"""ModelRoute: what the operator asks of a namespace's router, and what its proxies answer."""

from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Name, Percent, Revision, Time, cel_rule, list_map
from slipway.api.names import ROUTE_PORTS

KIND = "ModelRoute"
PLURAL = "modelroutes"


class HeaderMatch(ApiModel):
    """A request header that sends a request to the candidate."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9]*$", max_length=64)]
    """Lower-case header name."""
    value: Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$", min_length=1, max_length=128)]
    """Exact value."""


class Backend(ApiModel):
    """One revision behind the route."""

    revision: Revision
    service: Name
    """Service whose EndpointSlices name the revision's pods."""
    weight: Percent
    """Percent of requests."""
    min_endpoints: Annotated[int, Field(ge=0, le=1000)] = 0
    """Ready endpoints that a proxy must know before it takes a weight above 0 into force."""


class ModelRouteSpec(ApiModel):
    """Written by the operator only."""

    port: Annotated[int, Field(ge=ROUTE_PORTS.start, le=ROUTE_PORTS.stop - 1)]
    """Listener port on every router pod; kept for the route's life."""
    model: Annotated[str, Field(max_length=64)]
    """Triton model name."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout; 0 is none."""
    candidate_header: HeaderMatch | None = None
    candidate: Revision | None = None
    """Revision that the candidate header reaches; absent until it passed its checks."""
    backends: Annotated[list[Backend], Field(max_length=3, json_schema_extra=list_map("revision"))]
    """Weights sum to 100; an empty list answers 503."""


class ProxyStatus(ApiModel):
    """What one proxy has in force. Written by that proxy's agent, only when it changes."""

    name: Name
    """Pod name."""
    uid: Annotated[str, Field(max_length=64)]
    generation: int
    """metadata.generation of the ModelRoute that is in force."""
    hash: Annotated[str, Field(max_length=64)]
    """Content hash of the configuration that Envoy reports as running."""
    effective_weights: Annotated[dict[str, int], Field(max_length=3)]
    """Percent by revision; differs from the spec during the agent's own fail-over."""
    error: Annotated[str, Field(max_length=512)] | None = None
    """Why the newest generation is not in force."""
    at: Time


class ModelRouteStatus(ApiModel):
    """Written by the agents only."""

    proxies: Annotated[
        list[ProxyStatus], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = []


class ModelRoute(ApiModel):
    """The router's part of one ModelDeployment. Internal: people read it, Slipway writes it."""

    spec: ModelRouteSpec
    status: ModelRouteStatus = ModelRouteStatus()


RULES = [
    cel_rule(
        "self.backends.size() == 0 || self.backends.map(b, b.weight).sum() == 100",
        "weights sum to 100, or there is no backend",
        ".backends",
    )
]
