"""What one revision has served, as the routers count it since their Envoys started."""

from collections.abc import Iterable
from dataclasses import dataclass

from slipway.api.counters import Counters, Latency, RouteCounters
from slipway.policy.measured_traffic import merge_latencies


@dataclass(frozen=True, slots=True)
class Served:
    """Requests of a revision, without those that the candidate header sent."""

    requests: int
    errors: int
    latency: Latency | None = None


def total_served(answers: Iterable[Counters | None], route: str, revision: str) -> Served | None:
    """Return what all router pods that answered have counted; None where nobody knows it."""
    entries = [
        entry
        for answer in answers
        if answer is not None
        for entry in find_entries(answer, route, revision)
    ]
    if not entries:
        return None
    return Served(
        requests=sum(entry.requests for entry in entries),
        errors=sum(entry.errors for entry in entries),
        latency=merge_latencies([entry.latency for entry in entries]),
    )


def find_entries(answer: Counters, route: str, revision: str) -> list[RouteCounters]:
    """Return the entries of a revision behind a route that are judged."""
    return [entry for entry in answer.judged_entries(route) if entry.revision == revision]
