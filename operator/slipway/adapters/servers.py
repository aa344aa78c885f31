"""The load of Triton pods, read from their metrics."""

from collections.abc import Iterable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from slipway.adapters.pod_http import PodClient
from slipway.api import names
from slipway.policy.scaling.signals import ServerLoad

TIMEOUT_SECONDS = 1.0
MAX_BYTES = 2**20
PENDING = "nv_inference_pending_request_count"
REQUEST_MICROS = "nv_inference_request_duration_us"
QUEUE_MICROS = "nv_inference_queue_duration_us"
FINISHED = ("nv_inference_request_success", "nv_inference_request_failure")


class TritonServers:
    """Fits `slipway.reconcile.ports.ServerSource`."""

    def __init__(self, *, port: int = names.TRITON_METRICS_PORT) -> None:
        self._pods = PodClient(port, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))

    async def read(self, address: str, model: str) -> ServerLoad | None:
        """Read one pod (``<pod IP>``); None where it does not answer within its time limit."""
        try:
            async with self._pods.open().get(self._pods.url(address, "/metrics")) as response:
                response.raise_for_status()
                body = await response.content.read(MAX_BYTES)
                while chunk := await response.content.read(MAX_BYTES - len(body)):
                    body += chunk
            return parse(body.decode(), model)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def close(self) -> None:
        """Close all connections."""
        await self._pods.close()


def parse(text: str, model: str) -> ServerLoad:
    """Return what Triton says of one model; the pending count is absent in old servers.

    Raises:
        ValueError: this is not Prometheus' text format.

    """
    wanted = (PENDING, REQUEST_MICROS, QUEUE_MICROS, *FINISHED)
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    sums: dict[str, float] = {}
    for name, value in _samples(lines, model):
        sums[name] = sums.get(name, 0.0) + value
    return ServerLoad(
        pending=sums.get(PENDING),
        requests=sum(sums.get(name, 0.0) for name in FINISHED),
        request_micros=sums.get(REQUEST_MICROS, 0.0),
        queue_micros=sums.get(QUEUE_MICROS, 0.0),
    )


def _samples(lines: Iterable[str], model: str) -> Iterable[tuple[str, float]]:
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.labels.get("model") == model:
                yield sample.name, sample.value
