"""Triton's page of metrics: the numbers of one model in Prometheus' text format. Pure.

The page is a stranger's: what it says becomes numbers or a reason, never an exception, in a time
that grows with its length alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.api.reasons import Reason, Why

PATH = "/metrics"
MAX_LINES = 20_000
"""Of a page; a server of one model has a few hundred."""
MAX_LINE_BYTES = 4_096
MAX_SERIES = 1_000
"""Of the metrics that are read."""

LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|NaN|Nan|[+-]?Inf")
MALFORMED = Why(Reason.ANSWER_MALFORMED, "the answer is not what a Triton server exposes")

PENDING = "nv_inference_pending_request_count"
REQUEST_MICROS = "nv_inference_request_duration_us"
QUEUE_MICROS = "nv_inference_queue_duration_us"
COMPUTE_MICROS = (
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
)
SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a metrics page."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_samples(body: bytes, model: str, metrics: Sequence[str]) -> Sequence[Sample] | Why:
    """Return a model's samples of some metrics, from Prometheus' text format.

    In a time that grows with the page's length alone, whatever it says.
    """
    if body.count(b"\n") > MAX_LINES:
        return Why(Reason.ANSWER_TOO_LARGE, f"the answer exceeds {MAX_LINES} lines")

    wanted = re.compile(
        rb"^(?:%s)\{.*$" % b"|".join(name.encode() for name in metrics), re.MULTILINE
    )
    lines = wanted.findall(body)
    if len(lines) > MAX_SERIES:
        return Why(Reason.TOO_MANY_SERIES, f"the answer exceeds {MAX_SERIES} series")

    samples = [_parse_line(line) for line in lines]
    sound = [sample for sample in samples if sample is not None]
    if len(sound) < len(samples):
        return MALFORMED

    ours = [sample for sample in sound if sample.labels.get("model") == model]
    if not all(0 <= sample.value < float("inf") for sample in ours):
        return Why(Reason.NOT_A_NUMBER, "a counter is negative, NaN or infinite")
    return ours


def _parse_line(line: bytes) -> Sample | None:
    """Return the sample of one line; None where it has another form."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None

    name, _, rest = text.partition("{")
    inside, closed, after = rest.rpartition("}")
    labels, end = {}, 0
    while end < len(inside):
        found = LABEL.match(inside, end)
        if found is None:
            return None
        labels[found[1]] = found[2]
        end = found.end()

    number, _, _time = after.strip().partition(" ")
    if not closed or NUMBER.fullmatch(number) is None:
        return None
    return Sample(name, labels, float(number))


def sum_by_name(samples: Sequence[Sample]) -> dict[str, float]:
    """Return each metric's sum over its series: versions, and reasons of failures."""
    sums: dict[str, float] = {}
    for sample in samples:
        sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
