"""Denials, as Envoy counts them apart from every model."""

from slipway.agent.denials import read_denials, render_denials
from slipway.api.counters import Denied


def test_denials_are_summed_by_the_status_that_either_protocol_has_for_them() -> None:
    stats = [
        {"name": "access.denied.route.digits.status.401.grpc.", "value": 3},
        {"name": "access.denied.route.digits.status.200.grpc.16", "value": 2},
        {"name": "access.denied.route.digits.status.200.grpc.7", "value": 1},
        {"name": "access.denied.route.digits.status.200.grpc.8", "value": 4},
        {"name": "access.denied.route.letters.status.403.grpc.-", "value": 5},
        {"name": "cluster.digits/aaaaaaaa/http.upstream_rq_total", "value": 9},
    ]
    assert read_denials(stats) == [
        Denied(name="digits", status=401, requests=5),
        Denied(name="digits", status=403, requests=1),
        Denied(name="digits", status=429, requests=4),
        Denied(name="letters", status=403, requests=5),
    ]


def test_they_are_a_metric_of_their_own() -> None:
    [*_, sample] = render_denials([Denied(name="digits", status=401, requests=5)], "slipway_")
    assert sample == 'slipway_denied_total{route="digits",status="401"} 5'
