"""Do the runs of many cells in several processes, keep them, and say how far it is."""

import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from tests.bench.analysis.store import Run, Store

CHUNK = 10
"""Runs that are done, and kept, together."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: what one run of it is."""

    name: str
    """Unique among all cells: runs are kept under it."""
    run: Callable[[int], Run]
    """By number; it can be sent to another process."""


class Bench:
    """Runs what a store lacks."""

    def __init__(
        self,
        store: Store,
        runs: int,
        jobs: int,
        chosen: str = "",
        *,
        measure: bool = True,
        unmeasured: Collection[str] = (),
    ) -> None:
        """Cells that are not `chosen` are left out; `unmeasured` ones are only taken as kept."""
        self.runs = runs
        self._store, self._jobs, self._chosen, self._measures = store, jobs, chosen, measure
        self._unmeasured = frozenset(unmeasured)
        self._began = time.monotonic()

    def runs_of(self, cells: Sequence[Cell], runs: int | None = None) -> dict[str, list[Run]]:
        """Return the runs of every chosen cell by its name; one that lacks some is left out."""
        wanted = runs or self.runs
        chosen = [cell for cell in cells if self._chosen in cell.name]
        if self._measures:
            measured = [cell for cell in chosen if cell.name not in self._unmeasured]
            self._do([chunk for cell in measured for chunk in self._chunks(cell, wanted)])
        found = {cell.name: self._store.of(cell.name, wanted) for cell in chosen}
        return {name: done for name, done in found.items() if len(done) == wanted}

    def _chunks(self, cell: Cell, runs: int) -> Iterator[tuple[Cell, list[int]]]:
        missing = self._store.missing(cell.name, runs)
        for first in range(0, len(missing), CHUNK):
            yield cell, missing[first : first + CHUNK]

    def _do(self, chunks: Sequence[tuple[Cell, list[int]]]) -> None:
        if not chunks:
            return
        with ProcessPoolExecutor(self._jobs) as pool:
            works = {pool.submit(_run, cell, numbers): cell for cell, numbers in chunks}
            for number, work in enumerate(as_completed(works), start=1):
                cell = works[work]
                self._store.add(cell.name, work.result())
                spent = time.monotonic() - self._began
                line = f"{spent:5.0f} s  {number}/{len(chunks)}  {cell.name}"
                print(line, file=sys.stderr, flush=True)


def _run(cell: Cell, numbers: Sequence[int]) -> dict[int, Run]:
    return {number: cell.run(number) for number in numbers}
