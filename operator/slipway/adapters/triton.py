"""What Triton servers count themselves: the second source beside the router.

It is second because it is blind where the router is not (tried on 2.51): a request that never got
into a model's queue (queue full, bad shape, unparsable JSON) is counted nowhere, an error that a
python model returns as a response is counted as a success, and a hung request is not counted before
it ends. Warm-up and check requests are in the counters, so that only what is added counts. A
model's code may lie in its own server's counters: they are never the only evidence.
"""

import asyncio
import re

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from slipway.adapters import untrusted_http
from slipway.adapters.pod_http import PodClient
from slipway.api import names
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.inputs import Count

TIMEOUT_SECONDS = 1.0
"""As for a router's counters; the next pass asks again."""
MAX_BYTES = 2**20
SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure"
LINE = re.compile(rf"({SUCCESS}|{FAILURE})\{{")
NOT_THE_SERVERS = frozenset({"CANCELED"})
"""The client went away."""
OK = 200


class TritonFailures:
    """Fits `slipway.reconcile.ports.FailureSource`."""

    def __init__(self, *, port: int = names.TRITON_METRICS_PORT) -> None:
        self._pods = PodClient(port, headers=untrusted_http.HEADERS, auto_decompress=False)

    async def read(self, address: str, model: str) -> Count | Why:
        """Read one server (``<pod IP>``): all requests of a model, and those that failed in it."""
        url = self._pods.url(address, "/metrics")
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._pods.open().get(url, allow_redirects=False) as response,
            ):
                if response.status != OK:
                    return Why(Reason.SERVER_ERROR, f"it answers HTTP {response.status}")
                return parse(await untrusted_http.read_capped(response, MAX_BYTES), model)
        except TimeoutError:
            return Why(Reason.SERVER_TIMEOUT, f"no answer within {TIMEOUT_SECONDS:g} s")
        except untrusted_http.TooLarge:
            return Why(Reason.ANSWER_TOO_LARGE, f"the answer is larger than {MAX_BYTES} bytes")
        except (aiohttp.ClientError, OSError):
            return Why(Reason.SERVER_UNREACHABLE, "it cannot be reached, or breaks off")

    async def close(self) -> None:
        """Close all connections."""
        await self._pods.close()


def parse(body: bytes, model: str) -> Count | Why:
    """Read the exposition format of one server."""
    malformed = Why(Reason.ANSWER_MALFORMED, "the answer is not what a Triton server exposes")
    try:
        lines = [line for line in body.decode().splitlines() if LINE.match(line)]
        families = text_string_to_metric_families("\n".join([*lines, ""]))
        samples = [
            (sample.name, sample.labels, sample.value)
            for family in families
            for sample in family.samples
            if sample.labels.get("model") == model
        ]
    except (ValueError, KeyError, IndexError):  # the parser raises what it meets
        return malformed
    if not samples:
        return Why(Reason.SERIES_MISSING, f"it counts nothing about the model {model}")
    if not all(0 <= value < float("inf") for _, _, value in samples):
        return Why(Reason.NOT_A_NUMBER, "a counter is negative, NaN or infinite")
    failed = sum(
        value
        for name, labels, value in samples
        if name == FAILURE and labels.get("reason") not in NOT_THE_SERVERS
    )
    succeeded = sum(value for name, _, value in samples if name == SUCCESS)
    return Count(round(succeeded + failed), round(failed))
