"""The counters of router pods, read from their agents."""

import json

from slipway.adapters.pod_pages import PodPages
from slipway.api import names
from slipway.api.counters import PATH, Counters
from slipway.api.reasons import Why

MAX_BYTES = 16 * 2**20
"""More than two revisions of each of 8,000 routes need."""


class AgentCounters:
    """Fits `slipway.reconcile.ports.CounterSource`."""

    def __init__(self, *, port: int = names.AGENT_PORT) -> None:
        self._pages = PodPages(port, most_bytes=MAX_BYTES)

    async def read(self, address: str) -> Counters | None:
        """Read one agent (``<pod IP>``); None where it does not answer within its time limit."""
        page = await self._pages.read(address, PATH)
        return None if isinstance(page, Why) else parse_counters(page)

    async def close(self) -> None:
        """Close all connections."""
        await self._pages.close()


def parse_counters(page: bytes) -> Counters | None:
    """Return the counters of a page; None where it is another document.

    In two steps: an error of pydantic's own JSON parser repeats what was read, once per field.
    """
    try:
        return Counters.model_validate(json.loads(page))
    except (ValueError, RecursionError):
        return None
