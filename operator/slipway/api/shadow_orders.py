"""What a router's agent asks of the comparer: a file in the directory that they share."""

from slipway.api.base import ApiModel, Name, Revision
from slipway.api.modelroute import Shadow

FILE = "shadow.json"
"""While it exists, a comparer runs."""
PAGE_FILE = "pairs.json"
"""The comparer's newest page: its `copies` and `pairs`."""
COMPARER_VARIABLE = "COMPARER"
"""Environment variable of the agent; "true": a comparer runs in its pod."""
MEMORY_VARIABLE = "MEMORY_LIMIT_BYTES"
"""Environment variable of the comparer: its container's limit."""


class ShadowOrder(ApiModel):
    """One route whose requests are copied."""

    route: Name
    """Name of the ModelRoute."""
    stable: Revision | None = None
    """The revision that has all of the weight; None where there are several."""
    shadow: Shadow
    timeout_seconds: int = 0
    """The route's own; 0: none."""


class ShadowOrders(ApiModel):
    """The whole file."""

    proxy: Name
    """Name of the pod."""
    orders: list[ShadowOrder]
