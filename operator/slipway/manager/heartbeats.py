"""Signs of life of the watches and of the event loop."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from slipway.api.kinds import Kind

BEAT_SECONDS = 1.0


class Heartbeats:
    """Remembers when each watch last gave a sign of life."""

    def __init__(
        self, watches: Mapping[str, Kind], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`watches` maps their names to what they watch; other names are ignored."""
        self._kinds = watches
        self._now = now
        self._beats = dict.fromkeys(watches, now())
        self.heard = False
        """Whether any sign ever came; until then, silence means nothing."""

    def beat(self, watch: str) -> None:
        """Note a sign of life."""
        if watch in self._beats:
            self.heard = True
            self._beats[watch] = self._now()

    def forget(self, watches: Iterable[str]) -> None:
        """Expect no more signs of these."""
        for watch in watches:
            self._beats.pop(watch, None)

    def seconds_silent(self) -> Mapping[str, float]:
        """Return the seconds since the last sign, by kind: the longest over the kind's watches."""
        longest: dict[str, float] = {}
        now = self._now()
        for watch, beat in self._beats.items():
            kind = self._kinds[watch].kind
            longest[kind] = max(longest.get(kind, 0.0), now - beat)
        return longest


class LoopLag:
    """Measures how late the event loop runs what is due."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """How late the last beat was."""
        self._beat_at: float | None = None

    @property
    def age(self) -> float:
        """Seconds since the last beat; 0 before the first."""
        return time.monotonic() - self._beat_at if self._beat_at is not None else 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat_at = time.monotonic()
            due = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self.seconds = max(0.0, loop.time() - due)
