"""Limits calls by a token bucket that can be told to pause."""

import asyncio
import time
from collections.abc import Callable


class TokenBucket:
    """Lets `rate` calls per second pass, and up to `burst` at once."""

    def __init__(
        self, *, rate: float, burst: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._tokens = burst
        self._filled_at = now()

    def reserve(self) -> float:
        """Take one token and return the seconds to wait until it is there."""
        self._fill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def try_take(self) -> bool:
        """Take one token where there is one; return whether there was."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def take(self) -> None:
        """Wait for a token; callers are served in order."""
        seconds = self.reserve()
        if seconds > 0:
            await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Let no call pass for so long, as the other side asked."""
        self._fill()
        self._tokens = min(self._tokens, -seconds * self._rate)

    def _fill(self) -> None:
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
