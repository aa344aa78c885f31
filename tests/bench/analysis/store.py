"""What was measured, by cell and by the code that was measured: a run that is broken off goes on.

A line holds some runs of one cell, each under its number, which is its seed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "build" / "bench-analysis" / "results.jsonl"
MEASURED = ("operator/slipway/api", "operator/slipway/policy", "tests/bench/analysis")
"""What the figures depend on."""
SHOWN_BY = frozenset(
    {"__main__", "bench", "page", "promises", "store", "tables", "tables_of_rollouts"}
)
"""Modules of the evaluation that say what came out, and change nothing of it."""

Run = Mapping[str, Any]
"""What came out of one run, as JSON."""


def code_hash(root: Path = ROOT) -> str:
    """Return a hash of all code that figures depend on."""
    digest = hashlib.sha256()
    for folder in MEASURED:
        for path in sorted((root / folder).rglob("*.py")):
            if path.parent == root / MEASURED[-1] and path.stem in SHOWN_BY:
                continue
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class Store:
    """Runs by cell; `code` None: of any code, the newest of each number."""

    path: Path = RESULTS
    code: str | None = field(default_factory=code_hash)
    runs: dict[str, dict[int, Run]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is there; a line that was cut off is left out."""
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            self.path.write_text("".join(lines[:-1]))
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if self.code is None or entry["code"] == self.code:
                cell = self.runs.setdefault(entry["cell"], {})
                cell |= {int(number): run for number, run in entry["runs"].items()}

    def missing(self, cell: str, runs: int) -> list[int]:
        """Return the numbers of the runs that a cell lacks."""
        known = self.runs.get(cell, {})
        return [number for number in range(runs) if number not in known]

    def of(self, cell: str, runs: int) -> list[Run]:
        """Return the runs of a cell that are there, by number."""
        known = self.runs.get(cell, {})
        return [known[number] for number in range(runs) if number in known]

    def add(self, cell: str, made: Mapping[int, Run]) -> None:
        """Keep runs of a cell."""
        self.runs.setdefault(cell, {}).update(made)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"cell": cell, "code": self.code, "runs": made}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
