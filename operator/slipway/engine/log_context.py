"""The fields that every log line of a pass carries: which object it is about.

Kept per asyncio task; tasks that a pass starts inherit it.
"""

from collections.abc import Mapping
from contextvars import ContextVar

_FIELDS: ContextVar[Mapping[str, str]] = ContextVar("log fields", default={})  # noqa: B039 -- read only


def begin_pass(**fields: str) -> None:
    """Replace the fields of the previous pass by these."""
    _FIELDS.set({key: value for key, value in fields.items() if value})


def add_fields(**fields: str | None) -> None:
    """Add what the pass has learned meanwhile, such as the revision it acts on."""
    known = {key: value for key, value in fields.items() if value}
    _FIELDS.set({**_FIELDS.get(), **known})


def current_fields() -> Mapping[str, str]:
    """Return the fields of the present pass."""
    return _FIELDS.get()
