"""When to call a failing cluster again: an API server restarts, a network drops for a moment."""

import time
from dataclasses import dataclass
from datetime import datetime

from slipway.cli.cli_error import CliError, Transient
from slipway.cli.session import utc_now
from slipway.cli.time_format import format_clock

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 4.0
DOUBT_SECONDS = 15.0
"""For so long a missing right or type is taken for an API server that has just started."""
SETTLED_SECONDS = 5.0
"""A call that lasted so long was connected, even where there was nothing to report."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The cluster has not answered since then."""

    since: datetime
    reason: str

    @property
    def text(self) -> str:
        """In one line."""
        return f"disconnected since {format_clock(self.since)}, retrying: {self.reason}"


class Reconnect:
    """Remembers since when calls fail, and decides whether to call again."""

    def __init__(self, *, from_the_start: bool) -> None:
        """Begin; without `from_the_start` a first call that fails at once is the end.

        A person who types a wrong context wants to know; a script in a pipeline has a deadline.
        """
        self.outage: Disconnected | None = None
        self._began = time.monotonic()
        self._may_retry = from_the_start
        self._doubted: tuple[float, float] | None = None
        """The first and the last doubtful failure of a row; a user who may list, but not watch, has
        successful calls in between."""
        self._failures = 0

    def note_success(self) -> None:
        """Note that the cluster has answered."""
        self.outage, self._failures, self._may_retry = None, 0, True

    def retry_delay(self, error: CliError) -> float:
        """Return the seconds to wait before the next call.

        Raises:
            CliError: the same one: it is permanent.

        """
        now = time.monotonic()
        may_retry = self._may_retry or now - self._began >= SETTLED_SECONDS
        if not may_retry or not self._is_transient(error, now):
            raise error

        self.outage = Disconnected(self.outage.since if self.outage else utc_now(), error.message)
        self._failures += 1
        return min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 10))

    def _is_transient(self, error: CliError, now: float) -> bool:
        if error.transient is not Transient.BRIEFLY:
            self._doubted = None
            return error.transient is Transient.YES

        first, last = self._doubted or (now, now)
        first = first if now - last < DOUBT_SECONDS else now
        self._doubted = first, now
        return now - first < DOUBT_SECONDS
