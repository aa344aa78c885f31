"""What is measured of a model's load: from counters of proxies and servers to one reading."""

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
class Look:
    """What was read at one moment; None stands for what did not answer."""

    at: datetime
    proxies: Mapping[str, ProxyLoad | None] = field(default_factory=dict)
    """By router pod."""
    servers: Mapping[str, ServerLoad | None] = field(default_factory=dict)
    """By pod of any revision."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The load at one moment."""

    at: datetime
    load: float | None
    """Requests in flight; what is missing is not in it. None: nothing is known."""
    by_revision: Mapping[str, float] = field(default_factory=dict)
    finished: float | None = None
    """Requests that were answered since the look before; None: unknown."""
    took_seconds: float = 0.0
    """That those took, together."""
    waits: float = 0.0
    """Requests that left Triton's queue since the look before."""
    waited_millis: float = 0.0
    """How long they waited, together."""
    missing: str = ""
    """Whose numbers are missing; empty: nobody's."""


def reading(look: Look, before: Look | None, *, needs_queue: bool) -> Reading:
    """Return the load that a look shows; `before` is the look that rates are counted from.

    A request is in flight from the router's point of view also while it waits in Triton's queue,
    so that the two are not added: the larger one counts. Without a router, Triton's own count of
    waiting and executing requests stands alone, and is no evidence of a low load: who finds no
    router asks no server.
    """
    heard = [each for each in look.proxies.values() if each is not None]
    by_revision: dict[str, float] = {}
    for proxy in heard:
        for revision, number in proxy.in_flight.items():
            by_revision[revision] = by_revision.get(revision, 0.0) + number
    pending = _pending(look)
    loads = [sum(by_revision.values())] if heard else []
    if pending is not None:
        loads.append(pending if look.proxies else pending + _executing(look, before))
    waits, waited = _queue(look, before)
    finished, took = _finished(look, before)
    return Reading(
        at=look.at,
        load=max(loads, default=None),
        by_revision=by_revision,
        finished=finished,
        took_seconds=took,
        waits=waits,
        waited_millis=waited,
        missing=", ".join(_missing(look, needs_queue=needs_queue)),
    )


def _missing(look: Look, *, needs_queue: bool) -> Iterator[str]:
    for name, found in sorted(look.proxies.items()):
        if found is None:
            yield f"router {name} does not answer"
    if not look.proxies:
        yield "no router pod is ready"
    if needs_queue and not _is_heard(look):
        yield "fewer than half of the servers tell their queue time"


def _is_heard(look: Look) -> bool:
    heard = sum(1 for each in look.servers.values() if each is not None)
    return bool(look.servers) and heard >= ENOUGH_SERVERS * len(look.servers)


def _pending(look: Look) -> float | None:
    """Return the waiting requests of all servers, as far as most of them say."""
    told = [
        each.pending
        for each in look.servers.values()
        if each is not None and each.pending is not None
    ]
    if not told or len(told) < ENOUGH_SERVERS * len(look.servers):
        return None
    return sum(told) * len(look.servers) / len(told)


def _deltas(look: Look, before: Look | None) -> Iterator[tuple[ServerLoad, ServerLoad]]:
    """Yield the pods that were heard both times and did not restart in between."""
    for name, new in look.servers.items():
        old = before.servers.get(name) if before is not None else None
        if new is not None and old is not None and new.requests >= old.requests:
            yield old, new


def _finished(look: Look, before: Look | None) -> tuple[float | None, float]:
    """Return what was answered since, and the seconds that it took; None: somebody began anew."""
    if before is None:
        return None, 0.0
    if not look.proxies:
        servers = list(_deltas(look, before))
        if not servers or len(servers) < len(look.servers):
            return None, 0.0
        micros = sum(new.request_micros - old.request_micros for old, new in servers)
        return sum(new.requests - old.requests for old, new in servers), max(0.0, micros / 1e6)
    total = millis = 0.0
    for name, now in look.proxies.items():
        then = before.proxies.get(name)
        if now is None or then is None or now.start != then.start:
            return None, 0.0
        total += max(0, now.requests - then.requests)
        millis += max(0.0, now.took_millis - then.took_millis)
    return total, millis / 1e3


def _executing(look: Look, before: Look | None) -> float:
    if before is None or look.at <= before.at:
        return 0.0
    busy = sum(
        (new.request_micros - new.queue_micros) - (old.request_micros - old.queue_micros)
        for old, new in _deltas(look, before)
    )
    return max(0.0, busy / 1e6 / (look.at - before.at).total_seconds())


def _queue(look: Look, before: Look | None) -> tuple[float, float]:
    pairs = list(_deltas(look, before))
    requests = sum(new.requests - old.requests for old, new in pairs)
    micros = sum(new.queue_micros - old.queue_micros for old, new in pairs)
    return requests, max(0.0, micros / 1e3)
