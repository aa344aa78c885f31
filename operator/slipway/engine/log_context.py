"""What the present pass is about, so that each of its log lines says so.

Kept per asyncio task; tasks that a pass starts inherit it.
"""

from collections.abc import Mapping
from contextvars import ContextVar

_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039 -- read only


def begin(**words: str) -> None:
    """Forget the last pass; this one is about these words."""
    _ABOUT.set({key: word for key, word in words.items() if word})


def note(**words: str | None) -> None:
    """Add what the pass has learned, as the revision that it is about."""
    _ABOUT.set({**_ABOUT.get(), **{key: word for key, word in words.items() if word}})


def words() -> Mapping[str, str]:
    """Return what to add to a log line."""
    return _ABOUT.get()
