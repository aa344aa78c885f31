"""The present request rate of a model: measured at the router, given by hand, or from the analysis.

Measuring reads the agents' counters twice through the API server's pod proxy. That needs the right
`get pods/proxy`, which the role `edit` has, and no network policy in between; where it fails, the
other two ways remain.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from slipway.api.counters import Latency
from slipway.cli.kubectl import Kubectl
from slipway.cli.objects import ModelDeployment
from slipway.cli.router_pages import list_router_pods, read_counters
from slipway.cli.time_format import format_duration
from slipway.policy.measured_traffic import merge_latencies

MIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RequestRate:
    """The requests of a model, over all of its revisions."""

    per_second: float
    source: str
    """Where the number is from, in words."""
    error_ratio: float = 0.0
    """Of stable, as far as it is known."""
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class CounterTotals:
    """What all router pods have counted until then."""

    at: float
    """Seconds of a monotonic clock."""
    requests: int
    stable_requests: int
    stable_errors: int
    latency: Latency | None


def measure_at_router(
    kubectl: Kubectl, md: ModelDeployment, seconds: float, sleep: Callable[[float], None]
) -> RequestRate:
    """Return the rate at which the router's counters grow.

    Raises:
        CliError: there is no router pod, or it may not or cannot be read.

    """
    before = _read_totals(kubectl, md)
    sleep(max(MIN_SECONDS, seconds))
    after = _read_totals(kubectl, md)

    grown = max(0, after.requests - before.requests)
    errors = after.stable_errors / after.stable_requests if after.stable_requests else 0.0
    return RequestRate(
        per_second=grown / (after.at - before.at),
        source=f"measured at the router over {format_duration(after.at - before.at)}",
        error_ratio=errors,
        latency=after.latency,
    )


def take_given_rate(per_second: float, md: ModelDeployment) -> RequestRate:
    """Return the user's number, with stable's errors as the analysis saw them last."""
    errors = [metric.stable or 0.0 for metric in md.rollout.metrics if metric.name == "errors"]
    return RequestRate(per_second, "as given by --rps", errors[0] if errors else 0.0)


def rate_from_analysis(md: ModelDeployment) -> RequestRate | None:
    """Return the rate of the current step, as the analysis counted it; None: it has no count."""
    began = md.rollout.step_started_at
    for metric in md.rollout.metrics:
        total = metric.samples + metric.stable_samples
        if metric.name != "errors" or not total or began is None or metric.last_check is None:
            continue

        seconds = (metric.last_check - began).total_seconds()
        if seconds > 0:
            return RequestRate(
                per_second=total / seconds,
                source="as counted by the analysis in the current step",
                error_ratio=metric.stable or 0.0,
            )
    return None


def _read_totals(kubectl: Kubectl, md: ModelDeployment) -> CounterTotals:
    pods = list_router_pods(kubectl, md.namespace)
    documents = [read_counters(kubectl, md.namespace, pod) for pod in pods]

    stable = md.stable.revision if md.stable else ""
    routes = [
        route
        for document in documents
        for route in document.routes
        if route.name == md.name and not route.pinned
    ]
    to_stable = [route for route in routes if route.revision == stable]

    return CounterTotals(
        at=time.monotonic(),
        requests=sum(route.requests for route in routes),
        stable_requests=sum(route.requests for route in to_stable),
        stable_errors=sum(route.errors for route in to_stable),
        latency=merge_latencies([route.latency for route in to_stable]),
    )
