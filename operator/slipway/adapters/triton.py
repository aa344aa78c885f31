"""The metrics of Triton pods: the load of a model, and its failures as a second source.

The failures come second to the router's counters, because Triton does not see all of them (tried on
2.51): a request that never got into a model's queue (queue full, bad shape, unparsable JSON) is not
counted at all, an error that a Python model returns as a response counts as a success, and a hung
request counts only once it ends. Warm-up and check requests are in the counters too, so only what
is added counts. A model's code can forge its own server's counters: they are never the only
evidence.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from slipway.adapters import untrusted_http
from slipway.adapters.pod_http import PodClient
from slipway.api import names
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.inputs import Count
from slipway.policy.scaling.signals import ServerLoad

TIMEOUT_SECONDS = 1.0
"""As for a router's counters; the next pass asks again."""
MAX_BYTES = 2**20
OK = 200

PENDING = "nv_inference_pending_request_count"
REQUEST_MICROS = "nv_inference_request_duration_us"
QUEUE_MICROS = "nv_inference_queue_duration_us"
SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure"
LOAD_METRICS = (PENDING, REQUEST_MICROS, QUEUE_MICROS, SUCCESS, FAILURE)
FAILURE_METRICS = (SUCCESS, FAILURE)

CLIENT_FAILURES = frozenset({"CANCELED"})
"""Reasons of failures that are the client's: it went away."""


class TritonMetrics:
    """Fits `slipway.reconcile.ports.ServerSource` and `FailureSource`."""

    def __init__(self, *, port: int = names.TRITON_METRICS_PORT) -> None:
        self._pods = PodClient(port, headers=untrusted_http.HEADERS, auto_decompress=False)

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
        await self._pods.close()

    async def _read_samples(
        self, address: str, model: str, metrics: Sequence[str]
    ) -> Sequence[Sample] | Why:
        url = self._pods.url(address, "/metrics")
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._pods.open().get(url, allow_redirects=False) as response,
            ):
                if response.status != OK:
                    return Why(Reason.SERVER_ERROR, f"answered HTTP {response.status}")
                body = await untrusted_http.read_capped(response, MAX_BYTES)
        except TimeoutError:
            return Why(Reason.SERVER_TIMEOUT, f"no answer within {TIMEOUT_SECONDS:g} s")
        except untrusted_http.TooLarge:
            return Why(Reason.ANSWER_TOO_LARGE, f"the answer exceeds {MAX_BYTES} bytes")
        except (aiohttp.ClientError, OSError):
            return Why(Reason.SERVER_UNREACHABLE, "unreachable, or the connection broke")

        return parse_samples(body, model, metrics)


def parse_samples(body: bytes, model: str, metrics: Sequence[str]) -> Sequence[Sample] | Why:
    """Return a model's samples of some metrics, from Prometheus' text format."""
    wanted = re.compile(rf"({'|'.join(metrics)})\{{")
    try:
        lines = [line for line in body.decode().splitlines() if wanted.match(line)]
        families = text_string_to_metric_families("\n".join([*lines, ""]))
        samples = [
            sample
            for family in families
            for sample in family.samples
            if sample.labels.get("model") == model
        ]
    except (ValueError, KeyError, IndexError):  # the parser raises what it meets
        return Why(Reason.ANSWER_MALFORMED, "the answer is not what a Triton server exposes")

    if not all(0 <= sample.value < float("inf") for sample in samples):
        return Why(Reason.NOT_A_NUMBER, "a counter is negative, NaN or infinite")
    return samples


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
