"""What the watches call."""

from collections.abc import Callable
from dataclasses import dataclass

from slipway.api.base import Manifest
from slipway.api.kinds import Kind

OnObject = Callable[[Kind, Manifest], None]


@dataclass(frozen=True, slots=True)
class WatchListener:
    """What the watches call; none of these may raise."""

    on_seen: OnObject
    """An object exists."""
    on_gone: OnObject
    """An object was deleted."""
    on_listed: Callable[[], None]
    """A watch was listed again: it may have missed deletions."""
    on_alive: Callable[[str], None] = lambda _watch: None
    """A watch gave a sign of life, if only a bookmark; called with the watch's name."""
