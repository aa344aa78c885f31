"""What the analysis looks at beside the router's counters, and whom a rollout asks."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, cel_rule

PLACEHOLDERS = ("name", "namespace", "revision", "version", "pods")
"""What a query may hold, as ``{{name}}``; filled for the candidate and for stable."""


def _strip_placeholders(text: str) -> str:
    for name in PLACEHOLDERS:
        text += f".replace('{{{{{name}}}}}', '')"
    return text


def placeholder_rule(field: str) -> str:
    """Return the CEL rule that a query has no placeholder but ours."""
    return f"!has(self.{field}) || !{_strip_placeholders(f'self.{field}')}.contains('{{{{')"


_KNOWN = "known placeholders are " + ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)

MetricName = Annotated[
    str, Field(pattern=r"^[a-z]([-a-zA-Z0-9]{0,38}[a-zA-Z0-9])?$", min_length=1, max_length=40)
]
Provider = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", min_length=1, max_length=63)
]
Query = Annotated[str, Field(min_length=1, max_length=1024)]
RESERVED = ("errors", "latency", "resources", "traffic", "golden-set", "analysis")
"""Metrics that are always there, and names that they may need."""


class MetricPreset(StrEnum):
    """Metrics that Slipway knows how to read."""

    TRITON_ERRORS = "TritonErrors"
    """Requests that failed inside Triton, by the servers' own counters."""


class MetricStage(StrEnum):
    """When a metric counts."""

    ALWAYS = "Always"
    STEPS = "Steps"
    BAKE = "Bake"


class MetricMode(StrEnum):
    """What a metric may do."""

    ENFORCE = "Enforce"
    """A Fail rolls back, and without a Pass the weight is held."""
    PAUSE = "Pause"
    """A Fail holds the weight until a person says `approve` or `promote`."""
    REPORT_ONLY = "ReportOnly"
    """Shown, and nothing else."""


class PrometheusQuery(ApiModel):
    """Either one number for each revision, or a pair of counters."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "has(self.query) != has(self.bad) && has(self.bad) == has(self.total)",
                    "give either query, or bad and total",
                ),
                *(
                    cel_rule(placeholder_rule(field), _KNOWN, f".{field}")
                    for field in ("query", "bad", "total")
                ),
            ]
        }
    }

    provider: Provider
    """Of those that the operator's admin configured."""
    query: Query | None = None
    """PromQL that finds one number, for example a quantile or a gauge."""
    bad: Query | None = None
    """PromQL that finds a raw counter of bad events: `sum(…) or vector(0)`, no `rate`."""
    total: Query | None = None
    """PromQL that finds the raw counter of all events."""


class Drift(ApiModel):
    """The shares of classes or score bins, beside those of stable."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(placeholder_rule("query"), _KNOWN, ".query"),
            ]
        }
    }

    provider: Provider
    query: Query
    """PromQL that finds one raw counter per class or bin, at most 50: `sum by (class) (…)`."""
    label: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]
    """Label with the name of the class or bin."""


class Metric(ApiModel):
    """One more metric of the analysis."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "[has(self.preset), has(self.prometheus), has(self.drift)]"
                    ".filter(x, x).size() == 1",
                    "give exactly one of preset, prometheus and drift",
                ),
                cel_rule(
                    "has(self.prometheus) && has(self.prometheus.query)"
                    " ? has(self.max) != has(self.maxIncrease)"
                    " : !has(self.max) && !has(self.maxIncrease)",
                    "a query of one number has either max or maxIncrease; counters, presets and "
                    "drift have neither: analysis.tolerance and the sample decide",
                ),
                cel_rule(
                    "!has(self.drift) || !has(self.mode) || self.mode != 'Enforce'",
                    "drift is no fault: its mode is ReportOnly or Pause",
                    ".mode",
                ),
                cel_rule(
                    f"!(self.name in {list(RESERVED)})",
                    "metrics of this name exist already",
                    ".name",
                ),
            ]
        }
    }

    name: MetricName
    preset: MetricPreset | None = None
    prometheus: PrometheusQuery | None = None
    drift: Drift | None = None
    max: Annotated[float, Field(ge=-1e15, le=1e15)] | None = None
    """Largest value that the candidate may have."""
    max_increase: Annotated[float, Field(ge=0, le=1000)] | None = None
    """Largest increase over stable, as a ratio: 0.2 is a fifth more."""
    stage: MetricStage = MetricStage.ALWAYS
    mode: MetricMode | None = None
    """Default Enforce; of drift ReportOnly."""

    @property
    def effect(self) -> MetricMode:
        """The mode in force."""
        if self.mode is not None:
            return self.mode
        return MetricMode.REPORT_ONLY if self.drift is not None else MetricMode.ENFORCE

    @property
    def provider(self) -> str | None:
        """The Prometheus server that it needs."""
        source = self.prometheus or self.drift
        return source.provider if source is not None else None


class HookStage(StrEnum):
    """When a hook is asked."""

    BEFORE_TRAFFIC = "BeforeTraffic"
    """Once the candidate has passed its checks, before the first weight."""
    STEP = "Step"
    """At every step, once its evidence is complete, before the weight rises."""
    BEFORE_PROMOTION = "BeforePromotion"
    """When the bake is over."""


class Webhook(ApiModel):
    """Where to ask: 200 goes on, 409 refuses the revision, anything else is asked again."""

    url: Annotated[
        str,
        Field(
            pattern=r"^https?://[A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?(/[^#\s]*)?$", max_length=512
        ),
    ]
    """A Service of this namespace (`http://<service>.<namespace>.svc/…`), or a host that the
    operator's admin allowed."""
    timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10


class Hook(ApiModel):
    """Asks a service of yours whether the rollout may go on."""

    name: MetricName
    stage: HookStage
    webhook: Webhook
