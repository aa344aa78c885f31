"""The pairs of router pods, read from their agents."""

import json

from slipway.adapters.pod_pages import PodPages
from slipway.api import names
from slipway.api.pairs import PATH, Pairs
from slipway.api.reasons import Reason, Why

MAX_BYTES = 4 * 2**20
"""More than orders for 100 routes need."""


class AgentPairs:
    """Reads what the comparers of router pods counted."""

    def __init__(self, *, port: int = names.AGENT_PORT) -> None:
        self._pages = PodPages(port, most_bytes=MAX_BYTES)

    async def read(self, address: str) -> Pairs | Why:
        """Read one agent (``<pod IP>``), or say why not; an older agent answers HTTP 404."""
        page = await self._pages.read(address, PATH)
        return page if isinstance(page, Why) else parse_pairs(page)

    async def close(self) -> None:
        """Close all connections."""
        await self._pages.close()


def parse_pairs(page: bytes) -> Pairs | Why:
    """Return the pairs of a page; what is wrong with it where it is another document."""
    try:
        return Pairs.model_validate(json.loads(page))
    except (ValueError, RecursionError):
        return Why(Reason.ANSWER_MALFORMED, "the answer is no page of pairs")
