"""The counters of router pods, read from their agents."""

import aiohttp
from pydantic import ValidationError

from slipway.adapters import untrusted_http
from slipway.adapters.pod_http import PodClient
from slipway.api import names
from slipway.api.counters import PATH, Counters

TIMEOUT_SECONDS = 1.0
"""A proxy that takes longer counts as silent; the next pass asks it again."""
MAX_BYTES = 16 * 2**20
"""More than two revisions of each of 8,000 routes need."""


class AgentCounters:
    """Fits `slipway.reconcile.ports.CounterSource`."""

    def __init__(self, *, port: int = names.AGENT_PORT) -> None:
        self._pods = PodClient(port, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))

    async def read(self, address: str) -> Counters | None:
        """Read one agent (``<pod IP>``); None where it does not answer within its time limit."""
        try:
            async with self._pods.open().get(self._pods.url(address, PATH)) as response:
                response.raise_for_status()
                return Counters.model_validate_json(
                    await untrusted_http.read_capped(response, MAX_BYTES)
                )
        except (aiohttp.ClientError, untrusted_http.TooLarge, OSError, ValidationError):
            return None

    async def close(self) -> None:
        """Close all connections."""
        await self._pods.close()
