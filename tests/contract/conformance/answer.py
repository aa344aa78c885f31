"""What a request got, in the form in which two answers are compared and shown."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.contract.conformance.pair import Way


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: what a table shows of it, and what must be equal beside that."""

    shown: str
    """For people: a status, an error, a count."""
    content: str = ""
    """Everything else that must be equal, whatever its length."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or a short talk, that can be sent to either way."""

    name: str
    """Unique; what the table in the docs calls it."""
    send: Callable[[Way], Answer]


def digest(body: bytes) -> str:
    """Return what stands for a body of any length."""
    return f"{len(body)} bytes {hashlib.sha256(body).hexdigest()[:12]}"


def in_one_line(text: str) -> str:
    """Return a text as a cell of a table can hold it."""
    return " ".join(text.split()).replace("|", "/")
