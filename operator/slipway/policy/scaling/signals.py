"""The signals of a model's load: from counters of proxies and servers to one sample."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

ENOUGH_SERVERS = 0.5
"""Share of the ready pods that must answer before their numbers stand for all of them."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What one Triton counts of the model, since its start."""

    pending: float | None
    """Requests that wait now; None: this Triton does not say."""
    requests: float
    """Finished ones, also the failed."""
    request_micros: float
    """Time that they took, waiting included."""
    queue_micros: float
    """Time that they waited."""


@dataclass(frozen=True, slots=True)
class ProxyLoad:
    """What one router pod counts of the model."""

    in_flight: Mapping[str, int] = field(default_factory=dict)
    """By revision."""
    requests: int = 0
    """Finished ones since `start`."""
    took_millis: float = 0.0
    """That those took, together; to the width of the router's histogram."""
    start: str = ""


@dataclass(frozen=True, slots=True)
class LoadCounters:
    """What was read at one moment; None stands for what did not answer."""

    at: datetime
    proxies: Mapping[str, ProxyLoad | None] = field(default_factory=dict)
    """By router pod."""
    servers: Mapping[str, ServerLoad | None] = field(default_factory=dict)
    """By pod of any revision."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """The load at one moment."""

    at: datetime
    load: float | None
    """Requests in flight; what is missing is not in it. None: nothing is known."""
    by_revision: Mapping[str, float] = field(default_factory=dict)
    finished: float | None = None
    """Requests that were answered since the sample before; None: unknown."""
    took_seconds: float = 0.0
    """That those took, together."""
    waits: float = 0.0
    """Requests that left Triton's queue since the sample before."""
    waited_millis: float = 0.0
    """How long they waited, together."""
    missing: str = ""
    """Whose numbers are missing; empty: none."""


def sample_load(
    counters: LoadCounters, before: LoadCounters | None, *, needs_queue: bool
) -> LoadSample:
    """Return the load that counters show; rates are counted from those `before`.

    A request is in flight from the router's point of view also while it waits in Triton's queue,
    so that the two are not added: the larger one counts. Without a router, Triton's own count of
    waiting and executing requests stands alone, and is no evidence of a low load: a client that
    finds no router asks no server.
    """
    answered = [proxy for proxy in counters.proxies.values() if proxy is not None]
    by_revision: dict[str, float] = {}
    for proxy in answered:
        for revision, number in proxy.in_flight.items():
            by_revision[revision] = by_revision.get(revision, 0.0) + number

    loads = [sum(by_revision.values())] if answered else []
    waiting = _waiting_requests(counters)
    if waiting is not None:
        executing = 0.0 if counters.proxies else _executing_requests(counters, before)
        loads.append(waiting + executing)

    waits, waited = _queue_time_since(counters, before)
    finished, took = _finished_since(counters, before)
    return LoadSample(
        at=counters.at,
        load=max(loads, default=None),
        by_revision=by_revision,
        finished=finished,
        took_seconds=took,
        waits=waits,
        waited_millis=waited,
        missing=", ".join(_missing_signals(counters, needs_queue=needs_queue)),
    )


def _missing_signals(counters: LoadCounters, *, needs_queue: bool) -> Iterator[str]:
    for name, found in sorted(counters.proxies.items()):
        if found is None:
            yield f"router {name} does not answer"
    if not counters.proxies:
        yield "no router pod is ready"
    if needs_queue and not _do_servers_answer(counters):
        yield "fewer than half of the servers report their queue time"


def _do_servers_answer(counters: LoadCounters) -> bool:
    answered = sum(1 for each in counters.servers.values() if each is not None)
    return bool(counters.servers) and answered >= ENOUGH_SERVERS * len(counters.servers)


def _waiting_requests(counters: LoadCounters) -> float | None:
    """Return the waiting requests of all servers; None where too few report theirs."""
    reported = [
        each.pending
        for each in counters.servers.values()
        if each is not None and each.pending is not None
    ]
    if not reported or len(reported) < ENOUGH_SERVERS * len(counters.servers):
        return None
    return sum(reported) * len(counters.servers) / len(reported)


def _server_deltas(
    counters: LoadCounters, before: LoadCounters | None
) -> Iterator[tuple[ServerLoad, ServerLoad]]:
    """Yield the pods that answered both times and did not restart in between."""
    for name, new in counters.servers.items():
        old = before.servers.get(name) if before is not None else None
        if new is not None and old is not None and new.requests >= old.requests:
            yield old, new


def _finished_since(
    counters: LoadCounters, before: LoadCounters | None
) -> tuple[float | None, float]:
    """Return the requests that were answered since, and the seconds that they took.

    None where that is unknown: a router or a server did not answer, or restarted its counters.
    """
    if before is None:
        return None, 0.0

    if not counters.proxies:
        servers = list(_server_deltas(counters, before))
        if not servers or len(servers) < len(counters.servers):
            return None, 0.0
        micros = sum(new.request_micros - old.request_micros for old, new in servers)
        return sum(new.requests - old.requests for old, new in servers), max(0.0, micros / 1e6)

    total = millis = 0.0
    for name, now in counters.proxies.items():
        then = before.proxies.get(name)
        if now is None or then is None or now.start != then.start:
            return None, 0.0
        total += max(0, now.requests - then.requests)
        millis += max(0.0, now.took_millis - then.took_millis)
    return total, millis / 1e3


def _executing_requests(counters: LoadCounters, before: LoadCounters | None) -> float:
    if before is None or counters.at <= before.at:
        return 0.0
    busy = sum(
        (new.request_micros - new.queue_micros) - (old.request_micros - old.queue_micros)
        for old, new in _server_deltas(counters, before)
    )
    return max(0.0, busy / 1e6 / (counters.at - before.at).total_seconds())


def _queue_time_since(counters: LoadCounters, before: LoadCounters | None) -> tuple[float, float]:
    pairs = list(_server_deltas(counters, before))
    requests = sum(new.requests - old.requests for old, new in pairs)
    micros = sum(new.queue_micros - old.queue_micros for old, new in pairs)
    return requests, max(0.0, micros / 1e3)
