"""Windows in which rollouts move: when the next one opens, and an open one closes; pure.

cronsim reads a schedule as Debian's cron does, also on the days on which clocks change: what starts
at an hour that is skipped starts right after it, and at an hour that comes twice it starts once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from slipway.api.modeldeployment import Window

FIELD = "spec.rollout.windows"
NEVER = datetime.max.replace(tzinfo=UTC)
"""When a window opens whose schedule nobody can read."""
SECOND = timedelta(seconds=1)
MOST_CHAINED = 100
"""Windows, each of which opens before the one before it closes; more of them are always open."""


def find_next_opening(windows: Sequence[Window], now: datetime) -> datetime | None:
    """Return when the next window opens, in UTC; None: one is open, or there is none at all."""
    if not windows or any(_is_open(window, now) for window in windows):
        return None
    return min(_find_start(window, now) or NEVER for window in windows)


def find_closing(windows: Sequence[Window], now: datetime) -> datetime | None:
    """Return when all windows that are open now, or open before these close, are closed, in UTC.

    None: none is open, or there is none at all. NEVER: one is always open.
    """
    closes_at = now
    for _ in range(MOST_CHAINED):
        ends = [end for window in windows if (end := _find_end(window, closes_at)) is not None]
        if not ends:
            return closes_at if closes_at > now else None
        closes_at = max(ends)
    return NEVER


def find_window_problem(windows: Sequence[Window]) -> str | None:
    """Return what is wrong with the first window that cannot be read: field, found, expected."""
    for number, window in enumerate(windows):
        if _find_zone(window) is None:
            return (
                f"{FIELD}[{number}].timeZone: found {window.time_zone}, expected a name of the IANA"
                " time zone database, as Europe/Berlin"
            )
        try:
            CronSim(window.schedule, datetime.fromtimestamp(0, UTC))
        except CronSimError as error:
            return (
                f"{FIELD}[{number}].schedule: found {window.schedule!r}, expected five fields of"
                f" cron, as '0 9 * * MON-FRI': {error}"
            )
    return None


def _is_open(window: Window, now: datetime) -> bool:
    return _find_end(window, now) is not None


def _find_end(window: Window, now: datetime) -> datetime | None:
    """Return when a window closes whose newest start is not longer ago than it is open."""
    started = _find_start(window, now + SECOND, reverse=True)
    if started is None:
        return None
    end = started + timedelta(minutes=window.duration_minutes)
    return end if now < end else None


def _find_start(window: Window, now: datetime, *, reverse: bool = False) -> datetime | None:
    """Return the next start, or the one before; None: there is none, or nobody can read it."""
    zone = _find_zone(window)
    if zone is None:
        return None
    try:
        starts = CronSim(window.schedule, now.astimezone(zone), reverse=reverse)
    except CronSimError:
        return None
    found = next(starts, None)
    return found.astimezone(UTC) if found is not None else None


def _find_zone(window: Window) -> ZoneInfo | None:
    try:
        return ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
