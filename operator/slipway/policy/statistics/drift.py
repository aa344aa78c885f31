"""Prediction drift: whether the candidate answers other classes or scores than stable, and how far.

The population stability index (PSI) of two samples of one distribution is not zero: it averages
about (B - 1)(1/n + 1/m), so that a third of all healthy candidates passes a fixed limit of 0.1 at
n = 100 and ten bins. Here a shift counts when it is both large (`SHIFT`) and beyond what samples
of these sizes show by chance. It is tested when the sample has doubled, and each test has its part
of `FALSE_ALARM`, so that looking often does not make alarms.

A shift is no fault, since a better model answers differently: it is reported, or a person decides.
Sources: B. Yurdakul and J. Naranjo, Statistical properties of the population stability index,
J. Risk Model Validation 14(4), 2020 (the distribution); E. B. Wilson and M. M. Hilferty, The
distribution of chi-square, PNAS 17 (1931) (its quantiles).
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist

SHIFT = 0.25
"""A PSI that is commonly called a large shift."""
FALSE_ALARM = 0.005
"""Per step and metric, over all looks; small samples have heavier tails than the formula."""
FIRST_SAMPLE = 100
"""Of each revision, for the first test; the next ones come at twice as many."""
LEAST_EXPECTED = 5.0
"""Bins of which fewer are expected in the smaller sample are put together."""
MOST_TESTS = 60
"""Each has its part of `FALSE_ALARM`; no sample doubles more often."""
MOST_BINS = 50
"""So many and no more have room in a memory of 2 KiB."""

Bins = Mapping[str, float]
BinCounts = tuple[int, int]
"""Of the candidate and of stable."""


@dataclass(frozen=True, slots=True)
class DriftMemory:
    """Counters at the beginning of the step, and what the last test said."""

    step: str
    base: Mapping[str, BinCounts] = field(default_factory=dict)
    """By hash of the bin's name; what is absent began at 0."""
    tests: int = 0
    index: float | None = None
    limit: float | None = None

    def encode(self) -> str:
        """Return the text for status: below 2 KiB for `MOST_BINS` bins."""
        kept = [self.step, self.tests, self.index, self.limit, self.base]
        return json.dumps(kept, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Shift:
    """What is known now."""

    memory: DriftMemory
    samples: int
    baseline_samples: int
    index: float | None
    """The PSI at the last test; None: there was none yet."""
    limit: float | None

    @property
    def is_large(self) -> bool:
        """Whether the last test found a shift beyond chance."""
        return self.index is not None and self.limit is not None and self.index > self.limit


def load_memory(text: str | None, step: str) -> DriftMemory | None:
    """Read the memory; None where there is none of this step."""
    try:
        kept, tests, index, limit, base = json.loads(text or "")
        if kept != step:
            return None
        pairs = {name: (int(pair[0]), int(pair[1])) for name, pair in base.items()}
        if int(tests) not in range(MOST_TESTS + 1):
            return None
        return DriftMemory(step, pairs, int(tests), _read_number(index), _read_number(limit))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        return None


def _read_number(value: object) -> float | None:
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise ValueError(value)


def measure_shift(text: str | None, step: str, candidate: Bins, stable: Bins) -> Shift:
    """Return what the counters say since the step began; the first look only remembers them."""
    now = _pair_bins(candidate, stable)
    memory = load_memory(text, step)
    if memory is None or _went_back(memory.base, now):
        memory = DriftMemory(step, now)
    deltas = {
        name: _subtract_counts(pair, memory.base.get(name, (0, 0))) for name, pair in now.items()
    }
    samples = sum(pair[0] for pair in deltas.values())
    baseline = sum(pair[1] for pair in deltas.values())

    # Tested when the sample has doubled: tests at every look would need a stricter limit each.
    if min(samples, baseline) >= FIRST_SAMPLE * 2**memory.tests and memory.tests < MOST_TESTS:
        tests = memory.tests + 1
        index, limit = psi_and_limit(tuple(deltas.values()), FALSE_ALARM / (tests * (tests + 1)))
        memory = replace(memory, tests=tests, index=round(index, 4), limit=round(limit, 4))
    return Shift(memory, samples, baseline, memory.index, memory.limit)


def psi_and_limit(pairs: tuple[BinCounts, ...], level: float) -> tuple[float, float]:
    """Return the PSI, and what it may be: `SHIFT`, or what chance passes once in 1/`level`."""
    bins = _merge_rare_bins(pairs)
    if len(bins) < 2:  # noqa: PLR2004 -- a shift needs a place to go
        return 0.0, SHIFT
    n, m = (sum(pair[arm] for pair in bins) for arm in (0, 1))
    chance = (1 / n + 1 / m) * chi_square_quantile(len(bins) - 1, 1 - level)
    return stability_index(bins), max(SHIFT, chance)


def stability_index(pairs: tuple[BinCounts, ...]) -> float:
    """Return the population stability index; an empty bin counts as half an event."""
    n, m = (sum(max(pair[arm], 0.5) for pair in pairs) for arm in (0, 1))
    shares = [(max(c, 0.5) / n, max(s, 0.5) / m) for c, s in pairs]
    return sum((p - q) * math.log(p / q) for p, q in shares)


def chi_square_quantile(freedom: int, level: float) -> float:
    """Return a quantile of the chi-square distribution, within a percent of it."""
    part = 2 / (9 * freedom)
    root: float = 1 - part + NormalDist().inv_cdf(level) * math.sqrt(part)
    return freedom * root**3


def _merge_rare_bins(pairs: tuple[BinCounts, ...]) -> tuple[BinCounts, ...]:
    """Put the rare bins together: of few events nothing is known."""
    n, m = (sum(pair[arm] for pair in pairs) for arm in (0, 1))
    share = min(n, m) / (n + m)
    bins = [pair for pair in pairs if sum(pair) * share >= LEAST_EXPECTED]
    rare = [pair for pair in pairs if sum(pair) * share < LEAST_EXPECTED]
    if rare:
        bins.append((sum(pair[0] for pair in rare), sum(pair[1] for pair in rare)))
    return tuple(bins)


def _to_count(value: float) -> int:
    return round(value) if math.isfinite(value) else 0


def _pair_bins(candidate: Bins, stable: Bins) -> dict[str, BinCounts]:
    """Bring both together under short names; two bins of one hash are one bin to both."""
    pairs: dict[str, BinCounts] = {}
    for name in sorted({*candidate, *stable}):
        key = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:4]
        c, s = pairs.get(key, (0, 0))
        pairs[key] = (c + _to_count(candidate.get(name, 0)), s + _to_count(stable.get(name, 0)))
    return pairs


def _went_back(base: Mapping[str, BinCounts], now: Mapping[str, BinCounts]) -> bool:
    """A counter was reset or a pod went: nothing can be said about what was between."""
    return any(
        min(_subtract_counts(now.get(name, (0, 0)), pair)) < 0 for name, pair in base.items()
    )


def _subtract_counts(now: BinCounts, before: BinCounts) -> BinCounts:
    return now[0] - before[0], now[1] - before[1]
