"""Metrics that the analysis judges in addition to the router's counters, and hooks that it asks."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, cel_rule
from slipway.api.modeldeployment.placeholders import KNOWN, placeholder_rule

MetricName = Annotated[
    str, Field(pattern=r"^[a-z]([-a-zA-Z0-9]{0,38}[a-zA-Z0-9])?$", min_length=1, max_length=40)
]
Provider = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", min_length=1, max_length=63)
]
Query = Annotated[str, Field(min_length=1, max_length=1024)]
RESERVED = ("errors", "latency", "resources", "traffic", "golden-set", "analysis")
"""Names of built-in metrics, and names reserved for more of them."""


class MetricPreset(StrEnum):
    """A metric that needs no query."""

    TRITON_ERRORS = "TritonErrors"
    """Requests that failed inside Triton, by the counters of its servers."""


class MetricStage(StrEnum):
    """When a metric is judged."""

    ALWAYS = "Always"
    STEPS = "Steps"
    BAKE = "Bake"


class MetricMode(StrEnum):
    """What a metric's verdict does."""

    ENFORCE = "Enforce"
    """A Fail rolls back, and the weight is held until there is a Pass."""
    PAUSE = "Pause"
    """A Fail holds the weight until a person uses `approve` or `promote`."""
    REPORT_ONLY = "ReportOnly"
    """It is shown and has no effect."""


class PrometheusQuery(ApiModel):
    """PromQL for each revision: either one number (query), or a pair of counters (bad, total)."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "has(self.query) != has(self.bad) && has(self.bad) == has(self.total)",
                    "give either query, or bad and total",
                ),
                *(
                    cel_rule(placeholder_rule(field), KNOWN, f".{field}")
                    for field in ("query", "bad", "total")
                ),
            ]
        }
    }

    provider: Provider
    """Name of a Prometheus server in the operator's settings."""
    query: Query | None = None
    """PromQL that returns one number, for example a quantile or a gauge."""
    bad: Query | None = None
    """PromQL that returns raw counters of bad events: `sum(…) or vector(0)`, without `rate`."""
    total: Query | None = None
    """PromQL that returns raw counters of all events, with the same series as bad."""


class Drift(ApiModel):
    """Compares the shares of predicted classes or score bins with those of stable."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(placeholder_rule("query"), KNOWN, ".query"),
            ]
        }
    }

    provider: Provider
    """Name of a Prometheus server in the operator's settings."""
    query: Query
    """PromQL that returns one raw counter per class or bin, at most 50: `sum by (class) (…)`."""
    label: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]
    """Label that holds the name of the class or bin."""


class Metric(ApiModel):
    """A metric of the analysis: exactly one of preset, prometheus and drift."""

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
                    "prometheus.query needs either max or maxIncrease; counters, presets and drift "
                    "take neither: they are judged by analysis.tolerance",
                ),
                cel_rule(
                    "!has(self.drift) || !has(self.mode) || self.mode != 'Enforce'",
                    "the mode of drift must be ReportOnly or Pause: drift alone is not a fault",
                    ".mode",
                ),
                cel_rule(
                    f"!(self.name in {list(RESERVED)})",
                    "this name is reserved for a built-in metric",
                    ".name",
                ),
            ]
        }
    }

    name: MetricName
    """Name in status and messages: a letter, then letters, digits and '-'."""
    preset: MetricPreset | None = None
    """TritonErrors counts requests that failed inside Triton."""
    prometheus: PrometheusQuery | None = None
    drift: Drift | None = None
    max: Annotated[float, Field(ge=-1e15, le=1e15)] | None = None
    """Largest allowed value; with prometheus.query only."""
    max_increase: Annotated[float, Field(ge=0, le=1000)] | None = None
    """Largest allowed increase over stable, as a ratio: 0.2 is a fifth more; with prometheus.query
    only."""
    stage: MetricStage = MetricStage.ALWAYS
    """When the metric is judged: in the steps, in the bake, or always."""
    mode: MetricMode | None = None
    """Enforce: a Fail rolls back, and the weight is held until there is a Pass. Pause: a Fail holds
    the weight until a person uses `approve` or `promote`. ReportOnly: no effect. Default: Enforce,
    or ReportOnly for drift."""

    @property
    def effect(self) -> MetricMode:
        """The mode that applies, with its default."""
        if self.mode is not None:
            return self.mode
        return MetricMode.REPORT_ONLY if self.drift is not None else MetricMode.ENFORCE

    @property
    def provider(self) -> str | None:
        """The Prometheus server that the metric needs; None for a preset."""
        source = self.prometheus or self.drift
        return source.provider if source is not None else None


class HookStage(StrEnum):
    """When a hook is asked."""

    BEFORE_TRAFFIC = "BeforeTraffic"
    """After the candidate has passed its checks, before the first weight."""
    STEP = "Step"
    """At every step, after the analysis has passed, before the weight rises."""
    BEFORE_PROMOTION = "BeforePromotion"
    """At the end of the bake."""


class Webhook(ApiModel):
    """Where to send the request: 200 approves, 409 rejects the revision, all else is retried."""

    url: Annotated[
        str,
        Field(
            pattern=r"^https?://[A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?(/[^#\s]*)?$", max_length=512
        ),
    ]
    """A Service of this namespace (`http://<service>.<namespace>.svc/…`), or a host that the
    operator's settings allow."""
    timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10
    """Seconds to wait for an answer."""


class Hook(ApiModel):
    """Asks a service of yours whether the rollout may continue."""

    name: MetricName
    """Name in status and messages: a letter, then letters, digits and '-'."""
    stage: HookStage
    """When the hook is asked: BeforeTraffic, after the checks; Step, before every further weight;
    BeforePromotion, at the end of the bake."""
    webhook: Webhook
