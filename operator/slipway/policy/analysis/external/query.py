"""A user's query, filled for one revision.

What is put in consists of letters, digits and ``. _ -`` alone, so that it cannot end a quoted label
value, whatever stands around it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.api.modeldeployment import Metric
from slipway.api.modeldeployment.placeholders import PLACEHOLDERS
from slipway.errors import SpecError

PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}|\{\{")
HARMLESS = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Arm:
    """The revision that a query is about."""

    name: str
    """Of the ModelDeployment."""
    namespace: str
    revision: str
    version: str

    @property
    def pods(self) -> str:
        """A regular expression that matches the names of its pods."""
        return f"{self.name}-{self.revision}-[a-z0-9]+-[a-z0-9]+"


@dataclass(frozen=True, slots=True)
class Arms:
    """The two revisions that are compared."""

    candidate: Arm
    stable: Arm


def build_queries(metric: Metric, arms: Arms) -> tuple[str, ...]:
    """Return what a Prometheus server is asked: first about the candidate, then about stable.

    Raises:
        SpecError: a query has a placeholder that does not exist.

    """
    path = field_path(metric)
    return tuple(
        fill_placeholders(path, text, arm)
        for arm in (arms.candidate, arms.stable)
        for _, text in query_fields(metric)
    )


def fill_placeholders(path: str, query: str, arm: Arm) -> str:
    """Return the query about this revision.

    Raises:
        SpecError: a placeholder is unknown; names the field and those that exist.

    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or ""
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{{{known}}}}}" for known in PLACEHOLDERS)
            raise SpecError(path, f"found the placeholder {found[0]!r}, expected one of {known}")

        text = str(getattr(arm, name))
        if name != "pods" and not HARMLESS.fullmatch(text):
            raise SpecError(path, f"{name} is {text!r}, which may not stand in a query")
        return text

    return PLACEHOLDER.sub(value, query)


def query_fields(metric: Metric) -> Sequence[tuple[str, str]]:
    """Return the queries of a metric, each with the path of its field below the metric."""
    if metric.drift is not None:
        return (("drift.query", metric.drift.query),)
    source = metric.prometheus
    if source is None:
        return ()
    fields = (("bad", source.bad), ("total", source.total), ("query", source.query))
    return tuple((f"prometheus.{field}", text) for field, text in fields if text is not None)


def field_path(metric: Metric) -> str:
    """Return where a metric stands in the spec."""
    return f"spec.rollout.analysis.metrics[{metric.name}]"
