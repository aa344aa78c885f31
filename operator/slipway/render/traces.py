"""Traces: what Envoy and Triton are told, so that a client's request is one trace with both in it.

Envoy decides whether a request is traced: as its client did, else by chance. Triton decides
nothing: it traces whatever brings a `traceparent`, also one that says that the request is not
traced (2.51). So Envoy takes the header away from what it does not trace.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from slipway.api.base import Manifest

ENDPOINT_VARIABLE = "TRACING_ENDPOINT"
"""Environment variable of the agent: where its Envoy sends spans; absent: it traces nothing."""
PERCENT_VARIABLE = "TRACING_SAMPLING_PERCENT"

REVISION_TAG = "slipway.revision"
MODEL_TAG = "slipway.modeldeployment"
NAMESPACE_TAG = "k8s.namespace.name"
ROUTER_SERVICE = "slipway-router"
TRACES_PATH = "/v1/traces"
"""What OTLP over HTTP adds to the address of a collector."""

COLLECTOR_CLUSTER = "collector"
EXPORT_TIMEOUT = "2s"
"""How long a batch of spans may take. A Triton that ends waits for its last one."""
LOOK_UP_EVERY = "30s"
"""How often Envoy asks for the collector's address; its own 5 s are many queries for little."""
MOST_EXPORTS = 4
"""Batches of spans that Envoy has under way at a time; what is beyond is dropped."""
MOST_SPANS = 1024
"""Spans that a worker of Envoy keeps for the next batch; what is beyond is dropped."""
EXPORT_TIMEOUT_VARIABLE = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"

TRACEPARENT = "traceparent"
NOT_TRACED = "-00"
"""How Envoy's `traceparent` ends for a request that it does not trace."""
TRACE_ID = "%TRACE_ID%"

_METADATA = "slipway"
_TYPES = "type.googleapis.com/envoy"
_HTTP = f"{_TYPES}.extensions.filters.http"
_TRACER = "envoy.tracers.opentelemetry"
_SAMPLERS = f"{_TYPES}.extensions.tracers.opentelemetry.samplers.v3"
_DETECTORS = f"{_TYPES}.extensions.tracers.opentelemetry.resource_detectors.v3"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterTraces:
    """Where the spans of a router pod go, and what they say of it."""

    endpoint: str
    """Address of the collector, ``http://host[:port]``, to which `TRACES_PATH` is added."""
    sampling_percent: float
    """Of the requests whose client did not decide, 0 to 100."""
    namespace: str
    pod: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTraces:
    """Where the spans of a revision's Triton go, and what they say of it."""

    endpoint: str
    """As of the router's."""
    model: str
    """Name of the ModelDeployment."""
    namespace: str
    revision: str
    version: str


def render_collector(traces: RouterTraces) -> Manifest:
    """Return the cluster of the collector.

    Envoy does not wait for its address when it starts, and what it holds for it has a bound.
    """
    place = urlsplit(traces.endpoint)
    address = {"address": place.hostname, "port_value": place.port or 80}
    limits = {
        "max_connections": MOST_EXPORTS,
        "max_pending_requests": MOST_EXPORTS,
        "max_requests": MOST_EXPORTS,
    }

    return {
        "name": COLLECTOR_CLUSTER,
        "type": "STRICT_DNS",
        "wait_for_warm_on_init": False,
        "dns_refresh_rate": LOOK_UP_EVERY,
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": LOOK_UP_EVERY},
        "connect_timeout": EXPORT_TIMEOUT,
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": COLLECTOR_CLUSTER,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"socket_address": address}}}]}
            ],
        },
    }


def render_tracing(route: str, traces: RouterTraces) -> Manifest:
    """Return what a listener's connection manager is told; all listeners share one tracer."""
    tags = [
        {"tag": MODEL_TAG, "literal": {"value": route}},
        {
            "tag": REVISION_TAG,
            "metadata": {
                "kind": {"cluster": {}},
                "metadata_key": {"key": _METADATA, "path": [{"key": REVISION_TAG}]},
            },
        },
    ]
    return {"operation": route, "custom_tags": tags, "provider": _tracer(traces)}


def request_ids() -> Manifest:
    """Return what keeps Envoy from a choice of its own, by an id that the router gives no request.

    Without an id it would trace nothing, whatever the sampler says.
    """
    return {
        "typed_config": {
            "@type": f"{_TYPES}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": False,
            "use_request_id_for_trace_sampling": False,
        }
    }


def revision_metadata(revision: str) -> Manifest:
    """Return the part of a cluster by which a span learns its revision."""
    return {"metadata": {"filter_metadata": {_METADATA: {REVISION_TAG: revision}}}}


def _tracer(traces: RouterTraces) -> Manifest:
    uri = {
        "uri": _traces_url(traces.endpoint),
        "cluster": COLLECTOR_CLUSTER,
        "timeout": EXPORT_TIMEOUT,
    }
    resource = {NAMESPACE_TAG: traces.namespace, "k8s.pod.name": traces.pod}

    return {
        "name": _TRACER,
        "typed_config": {
            "@type": f"{_TYPES}.config.trace.v3.OpenTelemetryConfig",
            "http_service": {"http_uri": uri},
            "service_name": ROUTER_SERVICE,
            "resource_detectors": [
                {
                    "name": f"{_TRACER}.resource_detectors.static_config",
                    "typed_config": {
                        "@type": f"{_DETECTORS}.StaticConfigResourceDetectorConfig",
                        "attributes": resource,
                    },
                }
            ],
            "sampler": _sampler(traces.sampling_percent),
            "max_cache_size": MOST_SPANS,
        },
    }


def _sampler(percent: float) -> Manifest:
    """What the client said counts; where it said nothing, chance."""
    share = {"numerator": round(percent / 100 * _MILLION), "denominator": "MILLION"}
    by_chance = {
        "name": f"{_TRACER}.samplers.trace_id_ratio_based",
        "typed_config": {
            "@type": f"{_SAMPLERS}.TraceIdRatioBasedSamplerConfig",
            "sampling_percentage": share,
        },
    }
    return {
        "name": f"{_TRACER}.samplers.parent_based",
        "typed_config": {
            "@type": f"{_SAMPLERS}.ParentBasedSamplerConfig",
            "wrapped_sampler": by_chance,
        },
    }


def upstream_filters() -> list[Manifest]:
    """Return what happens to a request after the tracer has written its header."""
    is_traced = {
        "not_matcher": {
            "single_predicate": {
                "input": {
                    "name": TRACEPARENT,
                    "typed_config": {
                        "@type": f"{_TYPES}.type.matcher.v3.HttpRequestHeaderMatchInput",
                        "header_name": TRACEPARENT,
                    },
                },
                "value_match": {"suffix": NOT_TRACED},
            }
        }
    }
    skip = {
        "action": {
            "name": "skip",
            "typed_config": {
                "@type": f"{_TYPES}.extensions.filters.common.matcher.action.v3.SkipFilter"
            },
        }
    }
    forget = {
        "@type": f"{_HTTP}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [{"remove": TRACEPARENT}]},
    }

    return [
        {
            "name": "slipway.untraced",
            "typed_config": {
                "@type": f"{_TYPES}.extensions.common.matching.v3.ExtensionWithMatcher",
                "xds_matcher": {
                    "matcher_list": {"matchers": [{"predicate": is_traced, "on_match": skip}]}
                },
                "extension_config": {
                    "name": "envoy.filters.http.header_mutation",
                    "typed_config": forget,
                },
            },
        },
        {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {"@type": f"{_HTTP}.upstream_codec.v3.UpstreamCodec"},
        },
    ]


def forget_trace() -> Manifest:
    """Return what takes a request out of its client's trace, as soon as it comes."""
    return {
        "name": "untraced",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.http.early_header_mutation.header_mutation.v3"
            ".HeaderMutation",
            "mutations": [{"remove": TRACEPARENT}],
        },
    }


def server_settings(traces: ServerTraces) -> Iterator[str]:
    """Yield values of Triton's ``--trace-config``: it begins no trace, and goes on with all."""
    resource = {
        "service.name": traces.model,
        "service.version": traces.version,
        NAMESPACE_TAG: traces.namespace,
        MODEL_TAG: traces.model,
        REVISION_TAG: traces.revision,
    }

    yield "mode=opentelemetry"
    yield "level=TIMESTAMPS"
    yield "rate=0"
    yield f"opentelemetry,url={_traces_url(traces.endpoint)}"
    for name, value in resource.items():
        yield f"opentelemetry,resource={name}={value}"


def _traces_url(endpoint: str) -> str:
    return f"{endpoint.rstrip('/')}{TRACES_PATH}"
