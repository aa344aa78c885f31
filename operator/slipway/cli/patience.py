"""How long a cluster that complains is asked again: an API server restarts, a network blinks."""

import time
from dataclasses import dataclass
from datetime import datetime

from slipway.cli.problems import Passing, Problem
from slipway.cli.session import now
from slipway.cli.times import clock

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 4.0
DOUBT_SECONDS = 15.0
"""So long a missing right or type is taken for an API server that has just started."""
SETTLED_SECONDS = 5.0
"""Who is still there after that was connected, even where there was nothing to tell."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The cluster has not answered since then."""

    since: datetime
    why: str

    @property
    def text(self) -> str:
        """In one line."""
        return f"disconnected since {clock(self.since)}, trying again: {self.why}"


class Patience:
    """Remembers since when a cluster complains, and decides whether to ask again."""

    def __init__(self, *, from_the_start: bool) -> None:
        """Begin; without `from_the_start` a first call that fails at once is the end.

        A person who types a wrong context wants to know; a script in a pipeline has a deadline.
        """
        self.lost: Lost | None = None
        self._began = time.monotonic()
        self._trusts = from_the_start
        self._doubted: tuple[float, float] | None = None
        """The first and the last doubtful complaint of a row; who may list, but not watch, is
        heard in between."""
        self._failures = 0

    def heard(self) -> None:
        """Note that the cluster has answered."""
        self.lost, self._failures, self._trusts = None, 0, True

    def bear(self, problem: Problem) -> float:
        """Return the seconds to wait before the next call.

        Raises:
            Problem: the same one: it does not pass.

        """
        moment = time.monotonic()
        trusts = self._trusts or moment - self._began >= SETTLED_SECONDS
        if not trusts or not self._may_pass(problem, moment):
            raise problem
        self.lost = Lost(self.lost.since if self.lost else now(), problem.message)
        self._failures += 1
        return min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 10))

    def _may_pass(self, problem: Problem, moment: float) -> bool:
        if problem.passes is not Passing.SOON:
            self._doubted = None
            return problem.passes is Passing.YES
        first, last = self._doubted or (moment, moment)
        first = first if moment - last < DOUBT_SECONDS else moment
        self._doubted = first, moment
        return moment - first < DOUBT_SECONDS
