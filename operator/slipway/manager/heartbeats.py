"""When each watch, and the event loop, last gave a sign of life."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from slipway.api.kinds import Kind

BEAT_SECONDS = 1.0


class Heartbeats:
    """Remembers signs of life of the watches."""

    def __init__(
        self, watches: Mapping[str, Kind], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`watches` are their names, with what they watch; an unknown name is ignored."""
        self._kinds = watches
        self._now = now
        self._beats = dict.fromkeys(watches, now())
        self.heard = False
        """Whether any sign ever came; if none did, silence says nothing."""

    def beat(self, watch: str) -> None:
        """Take note of a sign of life."""
        if watch in self._beats:
            self.heard = True
            self._beats[watch] = self._now()

    def forget(self, watches: Iterable[str]) -> None:
        """Expect no sign of these any more."""
        for watch in watches:
            self._beats.pop(watch, None)

    def silence(self) -> Mapping[str, float]:
        """Return the seconds since the last sign, by kind: of the watch that is silent longest."""
        longest: dict[str, float] = {}
        now = self._now()
        for watch, beat in self._beats.items():
            kind = self._kinds[watch].kind
            longest[kind] = max(longest.get(kind, 0.0), now - beat)
        return longest


class LoopLag:
    """How late the event loop runs what is due: everything else in this process is as late."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """At the last beat."""
        self._beat_at: float | None = None

    @property
    def age(self) -> float:
        """Seconds since the last beat; 0: it was never started."""
        return time.monotonic() - self._beat_at if self._beat_at is not None else 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat_at = time.monotonic()
            due = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self.seconds = max(0.0, loop.time() - due)
