from datetime import UTC, datetime
from typing import Any

import pytest
from slipway.agent.counters import read_counters, render_metrics
from slipway.api.counters import Counters, RouteCounters, latency_edges
from slipway.api.protocol import Protocol
from slipway.render.envoy import OVERFLOW_EDGE_MILLIS, ClusterKey

AT = datetime(2026, 11, 21, 21, tzinfo=UTC)
HTTP = ClusterKey("digits", "0123abcd", Protocol.HTTP)
GRPC = ClusterKey("digits", "0123abcd", Protocol.GRPC)
PINNED = ClusterKey("digits", "0123abcd", Protocol.HTTP, pinned=True)


def stats(key: ClusterKey, **values: int) -> list[dict[str, Any]]:
    return [
        {"name": f"cluster.{key.name}.{name}", "value": count} for name, count in values.items()
    ]


def grpc_stats(**codes: int) -> list[dict[str, Any]]:
    service = "grpc.inference.GRPCInferenceService.ModelInfer"
    return stats(GRPC, **{f"{service}.{code[1:]}": count for code, count in codes.items()})


def histogram(key: ClusterKey, counts: dict[float, int]) -> dict[str, Any]:
    buckets = [
        {"upper_bound": edge, "interval": 0, "cumulative": counts.get(edge, 0)}
        for edge in (*latency_edges(), OVERFLOW_EDGE_MILLIS)
    ]
    return {"histograms": [{"name": f"cluster.{key.name}.upstream_rq_time", "buckets": buckets}]}


def read(*found: dict[str, Any], keys: tuple[ClusterKey, ...] = (HTTP, GRPC)) -> Counters:
    return read_counters("router-0", "start", AT, keys, found, pods={})


def only(counters: Counters) -> RouteCounters:
    (route,) = counters.routes
    return route


def test_a_revision_without_requests_is_all_zero() -> None:
    found = only(read())
    assert (found.name, found.revision, found.pinned) == ("digits", "0123abcd", False)
    assert (found.requests, found.errors, sum(found.latency.counts)) == (0, 0, 0)
    assert len(found.latency.counts) == len(found.latency.edges_millis) + 1


def test_both_protocols_are_summed_and_pinned_requests_kept_apart() -> None:
    found = read(
        *stats(HTTP, upstream_rq_completed=3, upstream_rq_active=1),
        *stats(GRPC, upstream_rq_completed=4, upstream_rq_pending_active=2),
        *stats(PINNED, upstream_rq_completed=9),
        keys=(HTTP, GRPC, PINNED),
    )

    assert [(each.pinned, each.requests, each.active) for each in found.routes] == [
        (False, 7, 3),
        (True, 9, 0),
    ]


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        pytest.param({"upstream_rq_5xx": 5}, 5, id="server errors"),
        pytest.param({"upstream_rq_4xx": 5}, 0, id="client errors are not judged"),
        pytest.param(
            {"upstream_rq_5xx": 3, "upstream_rq_503": 3, "upstream_rq_rx_reset": 3},
            3,
            id="a reset that became a 503 is one error",
        ),
        pytest.param(
            {"upstream_rq_retry": 2, "upstream_rq_rx_reset": 2},
            0,
            id="a reset that was retried is none",
        ),
        pytest.param(
            {"upstream_cx_destroy_remote_with_active_rq": 4}, 4, id="half an answer is an error"
        ),
        pytest.param(
            {"upstream_rq_5xx": 2, "upstream_rq_504": 2, "upstream_rq_timeout": 3},
            3,
            id="a timeout in the middle of an answer is one more",
        ),
    ],
)
def test_http_errors_are_counted_once(values: dict[str, int], errors: int) -> None:
    assert only(read(*stats(HTTP, **values))).errors == errors


def test_grpc_errors_are_those_of_the_server() -> None:
    all_codes = {f"c{code}": 1 for code in range(17)}
    found = only(read(*grpc_stats(**all_codes, cx=9)))
    assert (found.errors, found.client_errors) == (7, 9)


@pytest.mark.parametrize(
    ("values", "client_errors", "refused"),
    [
        pytest.param({"upstream_rq_4xx": 5, "upstream_rq_400": 5}, 5, 5, id="by the server"),
        pytest.param(
            {
                "upstream_rq_4xx": 9,
                "upstream_rq_400": 2,
                "upstream_rq_401": 1,
                "upstream_rq_403": 1,
                "upstream_rq_407": 1,
                "upstream_rq_429": 4,
            },
            9,
            2,
            id="by a gateway or a rate limit",
        ),
    ],
)
def test_what_a_gateway_refuses_is_no_word_of_the_server(
    values: dict[str, int], client_errors: int, refused: int
) -> None:
    found = only(read(*stats(HTTP, **values)))
    assert (found.client_errors, found.refused) == (client_errors, refused)


def test_of_grpc_status_3_5_9_and_11_are_refused_requests() -> None:
    found = only(read(*grpc_stats(**{f"c{code}": 10**code for code in range(1, 7)}, c9=7, c11=1)))
    assert found.refused == 10**3 + 10**5 + 7 + 1


def test_a_grpc_answer_that_envoy_made_itself_is_one_error() -> None:
    found = only(read(*stats(GRPC, upstream_rq_5xx=2, upstream_rq_503=2), *grpc_stats(c14=2)))
    assert found.errors == 2


def test_latencies_above_the_last_edge_are_in_the_last_bucket() -> None:
    found = only(read(histogram(HTTP, {1: 5, 60_000: 2, OVERFLOW_EDGE_MILLIS: 3})))
    assert found.latency.counts[0] == 5
    assert found.latency.counts[-2:] == [2, 3]


def test_how_long_clients_wait_is_of_no_revision() -> None:
    [found] = histogram(HTTP, {1: 5, 2: 1})["histograms"]
    counters = read({"histograms": [{**found, "name": "http.router.downstream_rq_time"}]})

    assert counters.clients is not None
    assert counters.clients.counts[:2] == [5, 1]
    assert sum(sum(route.latency.counts) for route in counters.routes) == 0
    text = render_metrics(counters)
    assert 'slipway_router_client_latency_seconds_bucket{le="0.002"} 6' in text
    assert "slipway_router_client_latency_seconds_count 6" in text


def test_metrics_are_cumulative_and_in_seconds() -> None:
    text = render_metrics(read(histogram(HTTP, {1: 5, 2: 1, OVERFLOW_EDGE_MILLIS: 3})))
    labels = 'route="digits",revision="0123abcd",pinned="false"'

    assert f'slipway_router_latency_seconds_bucket{{{labels},le="0.001"}} 5' in text
    assert f'slipway_router_latency_seconds_bucket{{{labels},le="0.002"}} 6' in text
    assert f'slipway_router_latency_seconds_bucket{{{labels},le="60"}} 6' in text
    assert f'slipway_router_latency_seconds_bucket{{{labels},le="+Inf"}} 9' in text


def test_a_router_of_thousands_of_models_counts_them_all() -> None:
    keys = tuple(
        ClusterKey(f"model-{number}", "0123abcd", protocol)
        for number in range(5_000)
        for protocol in Protocol
    )
    stats = [{"name": f"cluster.{key.name}.upstream_rq_completed", "value": 1} for key in keys]

    found = read(*stats, keys=keys)

    assert len(found.routes) == 5_000
    assert {route.requests for route in found.routes} == {2}
