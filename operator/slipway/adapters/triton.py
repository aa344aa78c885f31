"""The metrics of Triton pods: the load of a model, and its failures as a second source.

The failures come second to the router's counters, because Triton does not see all of them (tried on
2.51): a request that never got into a model's queue (queue full, bad shape, unparsable JSON) is not
counted at all, an error that a Python model returns as a response counts as a success, and a hung
request counts only once it ends. Warm-up and check requests are in the counters too, so only what
is added counts. A model's code can forge its own server's counters: they are never the only
evidence.
"""

from collections.abc import Sequence

from slipway.adapters.pod_pages import PodPages
from slipway.api import names
from slipway.api.reasons import Reason, Why
from slipway.api.triton_metrics import (
    FAILURE,
    PATH,
    PENDING,
    QUEUE_MICROS,
    REQUEST_MICROS,
    SUCCESS,
    Sample,
    parse_samples,
    sum_by_name,
)
from slipway.policy.analysis.inputs import Count
from slipway.policy.scaling.signals import ServerLoad

MAX_BYTES = 2**20
LOAD_METRICS = (PENDING, REQUEST_MICROS, QUEUE_MICROS, SUCCESS, FAILURE)
FAILURE_METRICS = (SUCCESS, FAILURE)

CLIENT_FAILURES = frozenset({"CANCELED"})
"""Reasons of failures that are the client's: it went away."""


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
        page = await self._pages.read(address, PATH)
        return page if isinstance(page, Why) else parse_samples(page, model, metrics)


def load_of(samples: Sequence[Sample]) -> ServerLoad:
    """Return a model's load; an older server does not expose the pending count."""
    sums = sum_by_name(samples)
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
