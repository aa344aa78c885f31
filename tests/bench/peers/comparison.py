"""The table: each figure of both sides, what the one is of the other, and what was promised."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.table import format_rows, rounded

HEAD = ("what", "Argo Rollouts", "Slipway", "unit", "ratio", "of each round", "target", "")
NUMBERS = frozenset({1, 2, 4, 5, 6})
"""Columns that are aligned to the right."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of both sides in every round."""

    what: str
    unit: str
    theirs: Sequence[float]
    ours: Sequence[float]
    most_ratio: float | None = None
    """The most that is promised of ours as a part of theirs; None: no promise."""
    most: float | None = None
    """The most that is promised of ours."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours divided by theirs, round by round."""
        return tuple(ours / theirs for theirs, ours in zip(self.theirs, self.ours, strict=True))

    @property
    def ratio(self) -> float:
        """Return the median of the rounds: both sides of a round had the same machine."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool | None:
        """Whether what is promised is so; None without a promise."""
        if self.most_ratio is not None:
            return self.ratio <= self.most_ratio
        return statistics.median(self.ours) <= self.most if self.most is not None else None

    @property
    def cells(self) -> tuple[str, ...]:
        """The table's row; values are medians of the rounds."""
        lowest, highest = min(self.ratios), max(self.ratios)
        return (
            self.what,
            rounded(statistics.median(self.theirs)),
            rounded(statistics.median(self.ours)),
            self.unit,
            f"{self.ratio:.2f}",
            f"{lowest:.2f} - {highest:.2f}",
            self._target,
            {True: "met", False: "MISSED", None: ""}[self.is_met],
        )

    @property
    def _target(self) -> str:
        if self.most_ratio is not None:
            return f"<= {self.most_ratio:g} x"
        return f"<= {self.most:g}" if self.most is not None else "-"


def compare(
    number: int, theirs: Sequence[Mapping[str, float]], ours: Sequence[Mapping[str, float]]
) -> Iterator[Comparison]:
    """Yield the comparisons of figures of `number` objects at once; one mapping for each round."""
    for key, what, unit, most_ratio, most in (
        ("create p50", "create -> workload object, p50", "ms", 1.25, None),
        ("create p95", "create -> workload object, p95", "ms", 1.25, None),
        ("change p50", "new version -> workload object, p50", "ms", 1.25, None),
        ("change p95", "new version -> workload object, p95", "ms", 1.25, None),
        ("at once", f"{number:,} at once -> all have their objects", "s", None, number / 50),
        ("writes", "  writes each", "", None, None),
        ("controller", "  processor time each, controller", "ms", None, 12),
        ("server", "  processor time each, API server and etcd", "ms", None, 40),
        ("memory", "memory after all that, RSS", "MiB", 1, None),
    ):
        of_theirs, of_ours = ([figures[key] for figures in side] for side in (theirs, ours))
        yield Comparison(what, unit, of_theirs, of_ours, most_ratio, most)


def format_comparisons(comparisons: Iterable[Comparison]) -> list[str]:
    """Return the table as lines of text."""
    return format_rows(HEAD, [comparison.cells for comparison in comparisons], NUMBERS)
