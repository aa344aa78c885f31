"""What is wrong with a user's metrics for good: an unknown provider, a query that cannot work."""

from collections.abc import Iterator, Sequence

from slipway.api.modeldeployment import Metric
from slipway.api.reasons import Reason, Why
from slipway.errors import SpecError
from slipway.policy.analysis.external.query import Arm, field_path, fill_placeholders, query_fields
from slipway.settings import PrometheusServer

DISTINGUISHING = ("{{revision}}", "{{pods}}", "{{version}}")
"""Placeholders of which one makes the query about one revision."""
EXAMPLE = Arm("n", "n", "00000000", "0")


def metrics_problem(
    metrics: Sequence[Metric], known: Sequence[PrometheusServer], namespace: str
) -> str:
    """Return what is wrong with the metrics for good; empty: nothing."""
    return "; ".join(_problems_of(metrics, known, namespace))


def provider_problem(
    provider: str, known: Sequence[PrometheusServer], namespace: str
) -> Why | None:
    """Return the problem where this namespace has no provider of that name; it names those."""
    names = sorted(item.name for item in known if item.serves(namespace))
    if provider in names:
        return None
    there = f"one of {', '.join(names)}" if names else "none: the operator has none configured"
    return Why(Reason.PROVIDER_UNKNOWN, f"found the provider {provider!r}, expected {there}")


def _problems_of(
    metrics: Sequence[Metric], known: Sequence[PrometheusServer], namespace: str
) -> Iterator[str]:
    for metric in metrics:
        path = field_path(metric)
        if metric.provider is None:
            continue

        unknown = provider_problem(metric.provider, known, namespace)
        if unknown is not None:
            yield f"{path}: {unknown.message}"

        for field, text in query_fields(metric):
            try:
                fill_placeholders(f"{path}.{field}", text, EXAMPLE)
            except SpecError as error:
                yield str(error)
            if metric.max is None and not any(mark in text for mark in DISTINGUISHING):
                wanted = ", ".join(DISTINGUISHING)
                same = "the query is the same for both revisions"
                yield f"{path}.{field}: {same}; use one of {wanted}"
