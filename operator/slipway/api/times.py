"""Moments on the wire and in the code, and the back-off between attempts."""

from datetime import UTC, datetime, timedelta

FIRST_BACKOFF = timedelta(seconds=10)
LONGEST_BACKOFF = timedelta(minutes=10)


def to_wire(moment: datetime) -> str:
    """Return RFC 3339 in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_wire(text: str | None) -> datetime | None:
    """Read RFC 3339; None stays None."""
    return datetime.fromisoformat(text) if text else None


def backoff(attempt: int) -> timedelta:
    """Return the wait after the failed `attempt`, counted from 1: 10 s, doubled, at most 10 min."""
    factor: int = 2 ** min(attempt - 1, 16)
    return min(FIRST_BACKOFF * factor, LONGEST_BACKOFF)
