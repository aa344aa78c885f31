"""What Triton's metrics say of one model."""

from slipway.adapters.servers import parse
from slipway.policy.scaling.signals import ServerLoad

METRICS = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="scaled",version="1"} 509
nv_inference_request_success{model="other",version="1"} 7
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="scaled",reason="OTHER",version="1"} 0
nv_inference_request_failure{model="scaled",reason="REJECTED",version="1"} 3
# HELP nv_inference_request_duration_us Cumulative inference request duration in microseconds
# TYPE nv_inference_request_duration_us counter
nv_inference_request_duration_us{model="scaled",version="1"} 4948733538
# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="scaled",version="1"} 4546552501
# HELP nv_inference_pending_request_count Instantaneous number of pending requests per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="scaled",version="1"} 175
"""
"""As Triton 2.51 prints it, without the metrics of the machine."""


def test_only_the_models_own_numbers_count() -> None:
    assert parse(METRICS, "scaled") == ServerLoad(
        pending=175, requests=512, request_micros=4948733538, queue_micros=4546552501
    )


def test_an_old_server_without_pending_count_does_not_say_zero() -> None:
    text = "\n".join(line for line in METRICS.splitlines() if "pending" not in line)
    assert parse(text, "scaled").pending is None


def test_a_model_that_was_never_asked_has_no_pending_count_either() -> None:
    assert parse(METRICS, "new") == ServerLoad(None, 0, 0, 0)
