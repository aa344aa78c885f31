"""Sends every request both ways, and says where the answers differ."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.contract.conformance.answer import Answer, Request, in_one_line
from tests.contract.conformance.client_calls import client_calls
from tests.contract.conformance.grpc_requests import grpc_requests
from tests.contract.conformance.http_requests import http_requests
from tests.contract.conformance.kserve_calls import kserve_calls
from tests.contract.conformance.pair import Pair

PAGE = Path(__file__).parents[3] / "docs/clients.md"
HEADING = "## What differs"
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
OR = "; "
"""Between the patterns of a cell."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One request and its two answers."""

    name: str
    triton: Answer
    router: Answer

    @property
    def is_same(self) -> bool:
        return self.triton == self.router


@dataclass(frozen=True, slots=True)
class Intended:
    """A row of the page's table: patterns of requests and answers, as of file names."""

    requests: str
    triton: str
    router: str

    def covers(self, found: Compared) -> bool:
        return all(
            _fits(text, cell)
            for text, cell in (
                (found.name, self.requests),
                (found.triton.shown, self.triton),
                (found.router.shown, self.router),
            )
        )

    def unused(self, differing: Iterable[Compared]) -> list[str]:
        """Return the patterns of requests that no difference needs any more."""
        names = [each.name for each in differing if self.covers(each)]
        return [
            pattern
            for pattern in self.requests.split(OR)
            if not any(fnmatchcase(name, pattern) for name in names)
        ]


def _fits(text: str, cell: str) -> bool:
    return any(fnmatchcase(in_one_line(text), pattern) for pattern in cell.split(OR))


def all_requests() -> list[Request]:
    """Return every request; names are unique."""
    return [*http_requests(), *grpc_requests(), *client_calls(), *kserve_calls()]


async def compare_all(pair: Pair, requests: Sequence[Request]) -> list[Compared]:
    """Send one request after the other, each both ways at a time."""
    found = []
    for request in requests:
        answers = (asyncio.to_thread(request.send, way) for way in (pair.triton, pair.router))
        found.append(Compared(request.name, *await asyncio.gather(*answers)))
    return found


def intended_differences(page: Path = PAGE) -> list[Intended]:
    """Return the rows of the page's table."""
    section = page.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    _head, *rows = (match.groups() for match in ROW.finditer(section))
    return [Intended(*(cell.strip() for cell in row[:3])) for row in rows]


def unintended(compared: Iterable[Compared], rows: Sequence[Intended]) -> list[Compared]:
    """Return the differences that stand in no row."""
    return [
        each for each in compared if not each.is_same and not any(row.covers(each) for row in rows)
    ]
