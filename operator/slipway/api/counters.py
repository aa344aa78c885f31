"""Counters of a router pod: the document that its agent serves at ``/v1/counters``."""

from functools import cache
from typing import Annotated

from pydantic import FailFast, Field

from slipway.api.base import ApiModel, Name, Revision, Time

PATH = "/v1/counters"
MOST_PODS = 32
"""Of each revision, that a page tells apart."""
GATEWAY_STATUS = (401, 403, 407, 429)
"""4xx of a gateway, a mesh or a rate limit in front of the server: no word of the model."""
JUDGED_GRPC_CODES = frozenset({2, 4, 8, 12, 13, 14, 15})
"""What is an error of the server; every other code but 0 is the client's."""


@cache
def latency_edges() -> tuple[int, ...]:
    """Return the histogram's upper edges in whole milliseconds: a factor of 1.25 from 1 ms to 60 s.

    Edges that round to the same millisecond are merged, because Envoy counts whole milliseconds.
    """
    edges, edge = [1], 1.0

    while edge * 1.25 < 60_000:  # noqa: PLR2004 -- the named end of the range
        edge *= 1.25
        if round(edge) > edges[-1]:
            edges.append(round(edge))

    return (*edges, 60_000)


class Latency(ApiModel):
    """A latency histogram."""

    edges_millis: Annotated[list[float], Field(max_length=64), FailFast()]
    """Upper edges in milliseconds, ascending; the last bucket is above the last edge."""
    counts: Annotated[list[int], Field(max_length=65), FailFast()]
    """Requests per bucket, not cumulative; one more than there are edges."""


class PodCounters(ApiModel):
    """Counters of one pod of a revision, over both protocols, since the proxy knows it."""

    address: Annotated[str, Field(max_length=64)]
    """IP address."""
    requests: int
    """Requests that were sent to it; an attempt that is a retry counts too."""
    errors: int
    """5xx, timeouts, failed connections, gRPC status 2, 4, 12, 13, 14, 15; no client errors. An
    answer that broke off is none: Envoy takes it for a success of its pod."""


class RouteCounters(ApiModel):
    """Counters of one revision behind one ModelRoute since Envoy started."""

    name: Name
    """Name of the ModelRoute."""
    revision: Revision
    pinned: bool
    """True for requests that the candidate header sent; these are never judged."""
    requests: int
    """Answered requests, a stream from its first message on; a retry counts not again."""
    errors: int
    """5xx, resets, timeouts and gRPC status 2, 4, 8, 12, 13, 14, 15."""
    resets: int
    timeouts: int
    client_errors: int
    """4xx and the other gRPC codes, whoever refused the request."""
    refused: int | None = None
    """Of these, what a model server says of a request: 4xx but `GATEWAY_STATUS`, and gRPC status
    3, 5, 9, 11. None from an agent that does not tell them apart."""
    active: int
    """Requests in flight now."""
    begun: int | None = None
    """Requests begun: finished, in flight or given up by the client; None from an older agent."""
    stream_requests: int = 0
    """Messages that clients sent on gRPC streams."""
    stream_responses: int = 0
    """Messages that came back on gRPC streams."""
    latency: Latency
    pods: Annotated[list[PodCounters] | None, Field(max_length=MOST_PODS), FailFast()] = None
    """By pod, in the order of addresses; those beyond `MOST_PODS` are left out. None: the route
    sends its requests to one revision, or the agent is older."""

    @property
    def requests_begun(self) -> int:
        """Requests begun, or what comes nearest to it where the agent does not count them."""
        return self.requests + self.active if self.begun is None else self.begun


class Denied(ApiModel):
    """Requests to one ModelRoute that were refused before any model saw them."""

    name: Name
    """Name of the ModelRoute."""
    status: int
    """401 without a caller, 403 for one who may not call, 429 for one who calls too often."""
    requests: int


class Counters(ApiModel):
    """The answer of one router pod."""

    proxy: Name
    """Name of the pod."""
    envoy_start: Annotated[str, Field(max_length=64)]
    """Changes when Envoy restarts, which resets all counters."""
    at: Time
    """When the counters were read."""
    routes: Annotated[list[RouteCounters], FailFast()]
    """As many as there are: to leave any out would look as if it had no requests."""
    clients: Latency | None = None
    """From the first byte of a request to the last of its answer, over all routes: what clients are
    slow to send or to take is in it, and what the proxy itself takes. None from an older agent."""
    denied: list[Denied] = []
    """In none of the other numbers, and evidence against nobody."""

    def judged_entries(self, route: str) -> list[RouteCounters]:
        """Return what counts in a comparison: the entries of a route by weight, not by header."""
        return [entry for entry in self.routes if entry.name == route and not entry.pinned]
