import json
from dataclasses import replace

import pytest
from slipway.api.base import Manifest
from slipway.api.protocol import Protocol
from slipway.render import envoy, traces
from slipway.render.access import AccessRules
from slipway.render.envoy import ClusterKey, Route
from slipway.render.traces import RouterTraces

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
ROUTE = Route("digits", 10_000, ((STABLE, 95), (CANDIDATE, 5)))
OTHER = replace(ROUTE, name="tickets", port=10_001)
TRACES = RouterTraces(
    endpoint="http://collector.observability:4318",
    sampling_percent=2.5,
    namespace="vision",
    pod="slipway-router-0",
)


def managers(*routes: Route, traced: RouterTraces | None = TRACES, **more: bool) -> list[Manifest]:
    found = envoy.render_listeners("/xds", routes, traced=traced, **more)["resources"]
    return [each["filter_chains"][0]["filters"][0]["typed_config"] for each in found]


def test_all_listeners_share_one_tracer_and_name_their_model() -> None:
    digits, tickets = (manager["tracing"] for manager in managers(ROUTE, OTHER))

    assert digits["provider"] == tickets["provider"]
    assert digits["custom_tags"][0] == {
        "tag": "slipway.modeldeployment",
        "literal": {"value": "digits"},
    }
    assert tickets["operation"] == "tickets"


def test_every_cluster_says_its_revision_where_spans_look_for_it() -> None:
    [manager] = managers(ROUTE)
    place = manager["tracing"]["custom_tags"][1]["metadata"]["metadata_key"]
    keys = {
        ClusterKey("digits", STABLE, Protocol.HTTP),
        ClusterKey("digits", CANDIDATE, Protocol.GRPC, pinned=True),
    }
    clusters = envoy.render_clusters(frozenset(keys), is_traced=True)["resources"]
    found = {
        cluster["name"]: cluster["metadata"]["filter_metadata"][place["key"]][
            place["path"][0]["key"]
        ]
        for cluster in clusters
    }
    assert found == {key.name: key.revision for key in keys}


def test_a_share_is_exact_to_the_millionth() -> None:
    [manager] = managers(ROUTE)
    sampler = manager["tracing"]["provider"]["typed_config"]["sampler"]["typed_config"]
    share = sampler["wrapped_sampler"]["typed_config"]["sampling_percentage"]
    assert share == {"numerator": 25_000, "denominator": "MILLION"}


@pytest.mark.parametrize(
    ("endpoint", "host", "port", "uri"),
    [
        ("http://c.o:4318", "c.o", 4318, "http://c.o:4318/v1/traces"),
        ("http://c.o/otlp/", "c.o", 80, "http://c.o/otlp/v1/traces"),
        ("http://[fd00::1]:4318/", "fd00::1", 4318, "http://[fd00::1]:4318/v1/traces"),
    ],
)
def test_the_collector_is_where_the_address_says(
    endpoint: str, host: str, port: int, uri: str
) -> None:
    traced = replace(TRACES, endpoint=endpoint)
    cluster = traces.render_collector(traced)
    [place] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert place["endpoint"]["address"]["socket_address"] == {"address": host, "port_value": port}

    [manager] = managers(ROUTE, traced=traced)
    service = manager["tracing"]["provider"]["typed_config"]["http_service"]
    assert (service["http_uri"]["uri"], service["http_uri"]["cluster"]) == (uri, cluster["name"])


def test_envoy_holds_few_batches_for_a_collector_and_does_not_wait_for_its_address() -> None:
    clusters = envoy.render_bootstrap("/xds", "p", traced=TRACES)["static_resources"]["clusters"]
    collector = clusters[-1]
    [limits] = collector["circuit_breakers"]["thresholds"]
    assert max(limits.values()) <= 4
    assert collector["wait_for_warm_on_init"] is False


def test_copies_and_probes_of_a_router_that_traces_are_not_traced() -> None:
    *_, shadow = managers(ROUTE, has_comparer=True)
    assert "tracing" not in shadow
    [mutation] = shadow["early_header_mutation_extensions"]
    assert mutation["typed_config"]["mutations"] == [{"remove": "traceparent"}]

    bootstrap = envoy.render_bootstrap("/xds", "p", traced=TRACES, live_on=("0.0.0.0", 9903))
    assert "opentelemetry" not in json.dumps(bootstrap)


def test_the_log_of_a_router_that_traces_has_its_own_trace_id() -> None:
    route = replace(ROUTE, access=AccessRules(has_log=True))
    [traced], [plain] = managers(route), managers(route, traced=None)
    logs = [
        manager["access_log"][-1]["typed_config"]["log_format"]["json_format"]
        for manager in (traced, plain)
    ]
    assert logs[0] == logs[1] | {"traceId": "%TRACE_ID%"}
