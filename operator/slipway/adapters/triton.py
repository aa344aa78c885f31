"""The metrics of Triton pods: the load of a model, and its failures as a second source.

The failures come second to the router's counters, because Triton does not see all of them (tried on
2.51): a request that never got into a model's queue (queue full, bad shape, unparsable JSON) is not
counted at all, an error that a Python model returns as a response counts as a success, and a hung
request counts only once it ends. Warm-up and check requests are in the counters too, so only what
is added counts. A model's code can forge its own server's counters: they are never the only
evidence.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipway.adapters.pod_pages import PodPages
from slipway.api import names
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.inputs import Count
from slipway.policy.scaling.signals import ServerLoad

MAX_BYTES = 2**20
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
SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure"
LOAD_METRICS = (PENDING, REQUEST_MICROS, QUEUE_MICROS, SUCCESS, FAILURE)
FAILURE_METRICS = (SUCCESS, FAILURE)

CLIENT_FAILURES = frozenset({"CANCELED"})
"""Reasons of failures that are the client's: it went away."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a metrics page."""

    name: str
    labels: Mapping[str, str]
    value: float


class TritonMetrics:
    """Fits `slipway.reconcile.ports.ServerSource` and `FailureSource`."""

    def __init__(self, *, port: int = names.TRITON_METRICS_PORT) -> None:
        self._pages = PodPages(port, most_bytes=MAX_BYTES)

    async def read_load(self, address: str, model: str) -> ServerLoad | None:
        """Read the load of one pod (``<pod IP>``); None where it gives no numbers in time."""
        samples = await self._read_samples(address, model, LOAD_METRICS)
        return None if isinstance(samples, Why) else load_of(samples)

    async def read_failures(self, address: str, model: str) -> Count | Why:
        """Read one pod (``<pod IP>``): all requests of a model, and those that failed in it."""
        samples = await self._read_samples(address, model, FAILURE_METRICS)
        return samples if isinstance(samples, Why) else failures_of(samples, model)

    async def close(self) -> None:
        """Close all connections."""
        await self._pages.close()

    async def _read_samples(
        self, address: str, model: str, metrics: Sequence[str]
    ) -> Sequence[Sample] | Why:
        page = await self._pages.read(address, "/metrics")
        return page if isinstance(page, Why) else parse_samples(page, model, metrics)


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


def load_of(samples: Iterable[Sample]) -> ServerLoad:
    """Return a model's load; an older server does not expose the pending count."""
    sums: dict[str, float] = {}
    for sample in samples:
        sums[sample.name] = sums.get(sample.name, 0.0) + sample.value

    return ServerLoad(
        pending=sums.get(PENDING),
        requests=sums.get(SUCCESS, 0.0) + sums.get(FAILURE, 0.0),
        request_micros=sums.get(REQUEST_MICROS, 0.0),
        queue_micros=sums.get(QUEUE_MICROS, 0.0),
    )


def failures_of(samples: Sequence[Sample], model: str) -> Count | Why:
    """Return a model's requests, and how many of them failed in the server."""
    if not samples:
        return Why(Reason.SERIES_MISSING, f"no counter of the model {model}")

    succeeded = sum(sample.value for sample in samples if sample.name == SUCCESS)
    failed = sum(
        sample.value
        for sample in samples
        if sample.name == FAILURE and sample.labels.get("reason") not in CLIENT_FAILURES
    )
    return Count(round(succeeded + failed), round(failed))
