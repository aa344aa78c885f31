"""``python -m tests.contract.conformance``: print where the router differs from Triton."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.contract.conformance.answer import in_one_line
from tests.contract.conformance.compare import (
    Compared,
    all_requests,
    compare_all,
    intended_differences,
    unintended,
)
from tests.contract.conformance.pair import started

WIDTHS = (48, 38, 48)


async def _compare() -> list[Compared]:
    with tempfile.TemporaryDirectory() as scratch:
        async with started(Path(scratch)) as pair:
            return await compare_all(pair, all_requests())


def main() -> int:
    """Print each difference; return 1 where one is not in the docs."""
    begun = time.monotonic()
    found = asyncio.run(_compare())
    missing = unintended(found, intended_differences())

    _print_row(("request", "Triton", "behind the router"))
    differing = [each for each in found if not each.is_same]
    for each in differing:
        mark = "  <- not in docs/clients.md" if each in missing else ""
        _print_row((each.name, each.triton.shown, each.router.shown), mark)
        if each.triton.shown == each.router.shown:
            print(f"    {each.triton.content}\n    {each.router.content}")

    seconds = time.monotonic() - begun
    print(
        f"{len(found)} requests both ways, {len(differing)} differ, "
        f"{len(missing)} of them unintended, {seconds:.0f} s"
    )
    return 1 if missing else 0


def _print_row(cells: Iterable[str], mark: str = "") -> None:
    flat = [in_one_line(cell) for cell in cells]
    cut = [
        text if len(text) <= width else f"{text[: width - 1]}…"
        for text, width in zip(flat, WIDTHS, strict=True)
    ]
    padded = (f"{text:{width}}" for text, width in zip(cut, WIDTHS, strict=True))
    print(f"{'  '.join(padded).rstrip()}{mark}")


if __name__ == "__main__":
    sys.exit(main())
