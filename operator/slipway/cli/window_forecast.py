"""How the windows of a spec prolong a rollout. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Window
from slipway.policy.windows import NEVER, find_closing, find_next_opening


@dataclass(frozen=True, slots=True)
class WindowForecast:
    """When windows are open, and what their pauses cost."""

    opens_at: datetime | None = None
    """When the next one opens; None: one is open, or none ever opens."""
    closes_at: datetime | None = None
    """When the one that is open closes; None: none is open, or one always is."""
    waits_seconds: float | None = 0.0
    """For which the rollout waits for windows in all; None: for ever."""


@dataclass(frozen=True, slots=True)
class Waited:
    """How long each change of weight waits for a window."""

    before: tuple[float | None, ...]
    """Before each weight, and at the end before the promotion, in seconds; None: for ever."""

    @property
    def seconds(self) -> float | None:
        """All of it; None: for ever."""
        known = [part for part in self.before if part is not None]
        return sum(known) if len(known) == len(self.before) else None


def forecast_windows(windows: Sequence[Window], waited: Waited, now: datetime) -> WindowForecast:
    """Return what a person should know of the windows now."""
    opens_at, closes_at = find_next_opening(windows, now), find_closing(windows, now)
    return WindowForecast(
        opens_at=opens_at if opens_at != NEVER else None,
        closes_at=closes_at if closes_at != NEVER else None,
        waits_seconds=waited.seconds,
    )


def wait_for_windows(
    windows: Sequence[Window], legs: Iterable[tuple[float | None, bool]], now: datetime
) -> Waited:
    """Return how long each weight and the promotion wait, as the operator lets them.

    `legs` are the seconds that each takes, None: for ever, and whether it begins with a weight that
    is yet to be written. What is under way goes on outside of every window; the next weight and the
    promotion wait.
    """
    before: list[float | None] = []
    at: datetime | None = now
    for seconds, begins in (*legs, (0.0, True)):
        waits = _seconds_to_opening(windows, at) if begins else 0.0
        before.append(waits)
        at = _after(at, waits, seconds)
    return Waited(tuple(before))


def _seconds_to_opening(windows: Sequence[Window], at: datetime | None) -> float | None:
    """Return the wait from a moment on; a moment that never comes needs none."""
    opens_at = find_next_opening(windows, at) if at is not None else None
    if at is None or opens_at is None:
        return 0.0
    return (opens_at - at).total_seconds() if opens_at != NEVER else None


def _after(at: datetime | None, *seconds: float | None) -> datetime | None:
    """Return the moment after these times; None: it never comes, or not in our calendar."""
    known = [part for part in seconds if part is not None]
    if at is None or len(known) < len(seconds):
        return None
    try:
        return at + timedelta(seconds=sum(known))
    except OverflowError:
        return None
