"""Times and durations as people read and write them."""

import re
from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86_400
UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}


def parse_time(text: str) -> datetime | None:
    """Return the time that RFC 3339 text stands for; None where it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def seconds_since(then: datetime | None, now: datetime) -> float | None:
    """Return the seconds since `then`; None where it is unknown."""
    return None if then is None else (now - then).total_seconds()


def format_duration(seconds: float) -> str:
    """Return a duration with its two largest units: ``42s``, ``4m10s``, ``3h5m``, ``2d4h``."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole}s"

    for large, unit, small, smaller in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "m")):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large}{unit}" + (f"{rest}{smaller}" if rest else "")
    rest = whole % MINUTE
    return f"{whole // MINUTE}m" + (f"{rest}s" if rest else "")


def format_age(then: datetime | None, now: datetime) -> str:
    """Return how long ago that was; ``-`` where it is unknown."""
    seconds = seconds_since(then, now)
    return "-" if seconds is None else format_duration(seconds)


def format_clock(then: datetime) -> str:
    """Return the time of day in UTC."""
    return then.astimezone(UTC).strftime("%H:%M:%S UTC")


def format_moment(then: datetime) -> str:
    """Return day and time in UTC, for what may be days away: ``Mon 2026-11-30 08:00 UTC``."""
    return then.astimezone(UTC).strftime("%a %Y-%m-%d %H:%M UTC")


def parse_duration(text: str) -> float | None:
    """Return the seconds of ``90``, ``90s``, ``5m`` or ``1h30m``; None where it is no duration."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        return None
    return sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+)([smhd])", text))
