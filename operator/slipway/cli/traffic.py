"""The present traffic of a model: measured at the router, given by hand, or from the analysis.

Measured means: the agents' counters, read twice through the API server's pod proxy, which needs the
right `get pods/proxy` (the role `edit` has it). A network policy may stand between; then there
are the other two ways.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from slipway.api.counters import PATH, Counters, Latency
from slipway.api.names import AGENT_PORT, COMPONENT_ROUTER, LABEL_COMPONENT
from slipway.cli.kubectl import Kubectl
from slipway.cli.objects import ModelDeployment
from slipway.cli.problems import Problem
from slipway.cli.read import Fields
from slipway.cli.times import duration

MIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """The requests of a model, over all of its revisions."""

    per_second: float
    source: str
    """Where the number is from, in words."""
    error_ratio: float = 0.0
    """Of stable, as far as it is known."""
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What all router pods counted until then."""

    at: float
    """Seconds of a clock that only goes on."""
    requests: int
    stable_requests: int
    stable_errors: int
    latency: Latency | None


def at_the_router(
    kubectl: Kubectl, md: ModelDeployment, seconds: float, sleep: Callable[[float], None]
) -> Measured:
    """Return what the router's counters grow by.

    Raises:
        Problem: there is no router pod, or it may not or cannot be read.

    """
    before = _read(kubectl, md)
    sleep(max(MIN_SECONDS, seconds))
    after = _read(kubectl, md)
    grown = max(0, after.requests - before.requests)
    errors = after.stable_errors / after.stable_requests if after.stable_requests else 0.0
    return Measured(
        per_second=grown / (after.at - before.at),
        source=f"measured at the router for {duration(after.at - before.at)}",
        error_ratio=errors,
        latency=after.latency,
    )


def by_hand(per_second: float, md: ModelDeployment) -> Measured:
    """Return the user's number, with stable's errors as the analysis saw them last."""
    errors = [metric.stable or 0.0 for metric in md.rollout.metrics if metric.name == "errors"]
    return Measured(per_second, "as given", errors[0] if errors else 0.0)


def from_the_analysis(md: ModelDeployment) -> Measured | None:
    """Return the traffic of the step under way, as the analysis counted it; None: it has none."""
    began = md.rollout.step_started_at
    for metric in md.rollout.metrics:
        total = metric.samples + metric.stable_samples
        if metric.name != "errors" or not total or began is None or metric.last_check is None:
            continue
        seconds = (metric.last_check - began).total_seconds()
        if seconds > 0:
            return Measured(
                per_second=total / seconds,
                source="as the analysis counted in the step under way",
                error_ratio=metric.stable or 0.0,
            )
    return None


def _read(kubectl: Kubectl, md: ModelDeployment) -> Reading:
    documents = [_counters(kubectl, md.namespace, pod) for pod in _router_pods(kubectl, md)]
    stable = md.stable.revision if md.stable else ""
    routes = [
        route
        for document in documents
        for route in document.routes
        if route.name == md.name and not route.pinned
    ]
    ours = [route for route in routes if route.revision == stable]
    return Reading(
        at=time.monotonic(),
        requests=sum(route.requests for route in routes),
        stable_requests=sum(route.requests for route in ours),
        stable_errors=sum(route.errors for route in ours),
        latency=_merged([route.latency for route in ours]),
    )


def _router_pods(kubectl: Kubectl, md: ModelDeployment) -> list[str]:
    selector = f"{LABEL_COMPONENT}={COMPONENT_ROUTER}"
    found = Fields(kubectl.json("get", "pods", "-l", selector, namespace=md.namespace))
    names = [
        pod.sub("metadata").text("name")
        for pod in found.each("items")
        if pod.sub("status").text("phase") == "Running"
    ]
    if not names:
        raise Problem(f"no router pod runs in namespace {md.namespace}")
    return names


def _counters(kubectl: Kubectl, namespace: str, pod: str) -> Counters:
    path = f"/api/v1/namespaces/{namespace}/pods/http:{pod}:{AGENT_PORT}/proxy{PATH}"
    printed = kubectl.run("get", "--raw", path)
    try:
        return Counters.model_validate_json(printed)
    except ValidationError as error:
        raise Problem(f"router pod {pod} answered something else than counters") from error


def _merged(latencies: list[Latency]) -> Latency | None:
    if not latencies:
        return None
    counts = [sum(column) for column in zip(*(item.counts for item in latencies), strict=True)]
    return Latency(edges_millis=latencies[0].edges_millis, counts=counts)
