"""ModelRoute: what the operator asks of a namespace's router, and what its proxies report."""

from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Name, Percent, Revision, Time, cel_rule, list_map
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
    backends: Annotated[list[Backend], Field(max_length=3, json_schema_extra=list_map("revision"))]
    """Revisions with their weights, which sum to 100; with an empty list the router answers 503."""


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
    effective_weights: Annotated[dict[str, int], Field(max_length=3)]
    """Percent by revision; differs from the spec while the agent itself fails over."""
    error: Annotated[str, Field(max_length=512)] | None = None
    """Why the newest generation is not running; absent when it is."""
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
    )
]
