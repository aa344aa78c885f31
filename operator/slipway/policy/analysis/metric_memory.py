"""The memory of a metric between looks, and its text for status: short keys, few digits.

A memory is encoded where it is stored, which is not at every look, and a text is parsed once,
however many looks start from it.

Numbers are rounded down, relative to their size. Rounded to the nearest, the probability that is
kept for later faults would place bets that nobody pays for, a little at each stored look, and a
small one would become 0.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import chain
from typing import Protocol

from slipway.policy.statistics.dispersion import DispersionGuard
from slipway.policy.statistics.eprocess import BETTER_BETS, NEVER, NOTHING, Pair, StartMixture
from slipway.policy.statistics.mean_windows import EMPTY, MeanWindows, Window
from slipway.policy.statistics.spells import UNSPELLED, Spells
from slipway.policy.statistics.trend import MOST_WINDOWS, Trend
from slipway.records import record

MOST_LOOKS = 20
DIGITS = 4
SMALL = 1e-3
"""A probability that is as small falls slowly, so it has twice as many digits."""
MOST_DIGITS = 16
"""Decimals, below which a number is 0."""
EXACT_DIGITS = 11
"""Digits of a large number, all of which a float of 64 bits has with room to spare."""
MOST_PARSED = 2048
"""Texts that stay parsed, of each kind: those of a hundred rollouts with a dozen metrics each."""
MOST_ROUNDED = 16_384
"""Numbers that stay rounded: those of the last looks come again at each."""
MOST = 1e30
"""Larger numbers are unsound: no count, no sum, and nothing to calculate with."""
Counters = Mapping[str, tuple[float, float]]
"""What each source counted: all, and the bad of it or the sum of it."""
RawState = Mapping[str, object]
"""A state as it is stored, decoded and not checked."""
STAMP = "a"
"""Key of the moment of the base."""
BAKED = "h"
"""Key of what only a bake remembers."""
SPELLS = "w"
"""Key of the spells, of a share that is counted in them."""
UNBEGUN = "y"
"""Key that says that a step began while the metric could not be read."""
COUNTERS = "c"
"""Key of what was read last; no key of the memories of a share or a mean."""
UNBET, QUIET, NO_WINDOWS = StartMixture(), DispersionGuard(), MeanWindows()
NO_TREND = Trend()


def encode_state(raw: RawState) -> str:
    """Return the text for status."""
    return _ENCODER.encode(_round_floats(raw))


@lru_cache(MOST_PARSED)
def decode_state(text: str | None) -> RawState:
    """Read what `encode_state` wrote, which nobody may change then; anything else is empty."""
    try:
        raw = _DECODER.decode(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


@lru_cache(MOST_ROUNDED)
def round_down(value: float) -> float | int:
    """Return the largest number of few digits that is not above `value`; whole ones are exact."""
    if value.is_integer():
        return int(value)
    if not math.isfinite(value):
        return value
    size = abs(value)
    places = math.floor(math.log10(size)) + 1
    if DIGITS - places > MOST_DIGITS:
        return 0
    if places > 0:
        digits = max(0, min(DIGITS, EXACT_DIGITS - places))
    else:
        digits = min(DIGITS - places, EXACT_DIGITS)
    if size < SMALL:
        digits += DIGITS
    scale = 10.0**digits
    return math.floor(round(value * scale, 4)) / scale  # 1233.9999999999998 was 1234


_SEQUENCES = (list, tuple)


def _refuse_constant(constant: str) -> float:
    raise ValueError(constant)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""Made once: `json.loads` with an option makes one per call."""


def _round_floats(value: object) -> object:
    if isinstance(value, float):
        return round_down(value)
    if isinstance(value, _SEQUENCES):
        return [_round_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: _round_floats(item) for key, item in value.items()}
    return value


def _is_finite(value: object) -> bool:
    """Return whether all numbers of a state that nobody has checked are numbers."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, _SEQUENCES) else True


class MetricMemory(Protocol):
    """What one metric remembers."""

    def raw(self) -> RawState:
        """Return the value for status."""


@record
class StoredState:
    """What status remembers of a metric."""

    text: str | None = None
    """None: nothing, or nothing that belongs to the stored base."""
    is_known: bool = False
    """There was one, readable or not."""

    @property
    def times_lost(self) -> int:
        """How often it was lost, where it cannot be read."""
        return int(self.is_known)


@record
class StampedMemory:
    """A metric's memory, with the base that it was made with: it counts only together with it."""

    memory: MetricMemory
    stamp: str

    def encode(self) -> str:
        """Return the text for status."""
        return encode_state({**self.memory.raw(), STAMP: self.stamp})


@record
class KeptMemory:
    """The memory of a metric that was not read in this look."""

    state: RawState

    def raw(self) -> RawState:
        """Return the value for status: empty where a damaged state has what is no number."""
        return self.state if _is_finite(self.state) else {}


@record
class SourcesMemory:
    """The memory of a metric whose counters come by source."""

    memory: MetricMemory
    counters: Counters
    """What was read last."""

    def raw(self) -> RawState:
        """Return the value for status."""
        return {**self.memory.raw(), COUNTERS: self.counters}


def with_counters(memory: MetricMemory, counters: Counters | None) -> MetricMemory:
    """Return the memory with what was read last, where counters come by source."""
    return memory if counters is None else SourcesMemory(memory, counters)


@record
class ShareMemory:
    """Of a share: errors, slow requests, counters from elsewhere."""

    starts: StartMixture = UNBET
    peak: float = NEVER
    """The most log e of these bets at any look of this bake."""
    guard: DispersionGuard = QUIET
    wealth: tuple[float, ...] = (0.0,) * len(BETTER_BETS)
    """Log, of each bet that the next weight does too much harm; of this step."""
    best: float = 0.0
    """Log, of the evidence that those bets have together, or had when they ruled harm out: that
    stands until what came later takes it back, so metrics need not pass at one look."""
    step: Pair = NOTHING
    """Counts of this step."""
    recent: tuple[float, float] = (0.0, 0.0)
    """Stable's requests and events of the last minute or so."""
    block: Pair = NOTHING
    """Of mode Threshold: the block that fills."""
    failed: int = 0
    """Of mode Threshold: checks that failed in this rollout."""
    checked: int = 0
    """Of mode Threshold: checks in this step; negative where the last one failed."""
    looks: tuple[float, ...] = ()
    spells: Spells = UNSPELLED
    lost: int = 0

    def raw(self) -> RawState:
        """Return the value for status."""
        guard, spells = self.guard.settled, self.spells
        of_bake = {BAKED: [self.peak, *guard.over]} if self.peak > NEVER else {}
        in_spells = {SPELLS: _spells_to_list(spells)} if spells != UNSPELLED else {}
        return {
            **of_bake,
            **in_spells,
            "f": [*self.starts.wealth, self.starts.kept],
            "n": [*guard.shifted, *guard.same, guard.kept, guard.seconds],
            "b": _pair_to_list(guard.block),
            "p": [*self.wealth, self.best],
            "s": _pair_to_list(self.step),
            "r": self.recent,
            "t": [*_pair_to_list(self.block), self.failed, self.checked],
            "l": self.looks,
            "x": self.lost,
        }


_SHARE_LISTS = {
    "f": len(UNBET.wealth) + 1,
    "n": len(QUIET.shifted) + len(QUIET.same) + 2,
    "b": 4,
    "p": len(BETTER_BETS) + 1,
    "s": 4,
    "r": 2,
    "t": 6,
}
"""How long each list of numbers is."""


UNBAKED = (NEVER, *QUIET.over)


@lru_cache(MOST_PARSED)
def load_share(text: str | None) -> ShareMemory | None:
    """Read a share's memory; None where it is not one."""
    raw = decode_state(text)
    try:
        found = _read_lists(raw, _SHARE_LISTS)
        cells, starts, passed = found["n"], found["f"], found["p"]
        ratios, spreads = len(QUIET.shifted), len(QUIET.same)
        peak, *over = _read_floats(raw[BAKED], 1 + len(QUIET.over)) if BAKED in raw else UNBAKED
        requests, events = found["r"]
        failed, checked = map(int, found["t"][4:])

        guard = DispersionGuard(
            shifted=cells[:ratios],
            over=tuple(over),
            same=cells[ratios : ratios + spreads],
            kept=_read_share(cells[-2]),
            seconds=max(0.0, cells[-1]),
            block=_to_pair(found["b"]),
        )

        return ShareMemory(
            starts=StartMixture(starts[:-1], _read_share(starts[-1])),
            peak=peak,
            guard=guard,
            wealth=passed[:-1],
            best=passed[-1],
            step=_to_pair(found["s"]),
            recent=(requests, events),
            block=_to_pair(found["t"][:4]),
            failed=failed,
            checked=checked,
            looks=_read_looks(raw["l"]),
            spells=_read_spells(raw[SPELLS]) if SPELLS in raw else UNSPELLED,
            lost=int(raw["x"]),  # type: ignore[call-overload]
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


@record
class MeanMemory:
    """Of a mean."""

    means: MeanWindows = NO_WINDOWS
    step: Window = EMPTY
    """Counts and sums of this step."""
    looks: tuple[float, ...] = ()
    lost: int = 0

    def raw(self) -> RawState:
        """Return the value for status."""
        means = self.means
        return {
            "m": [means.windows, means.total, means.squares, *means.signs],
            "o": _window_to_list(means.open),
            "s": _window_to_list(self.step),
            "l": self.looks,
            "x": self.lost,
        }


@lru_cache(MOST_PARSED)
def load_mean(text: str | None) -> MeanMemory | None:
    """Read a mean's memory; None where it is not one."""
    raw = decode_state(text)
    try:
        windows, total, squares, *signs = _read_floats(raw["m"], 3 + len(NO_WINDOWS.signs))
        means = MeanWindows(int(windows), total, squares, tuple(signs), _window_from(raw["o"]))
        lost = int(raw["x"])  # type: ignore[call-overload]
        return MeanMemory(means, _window_from(raw["s"]), _read_looks(raw["l"]), lost)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


@record
class TrendMemory:
    """Of a trend."""

    trend: Trend = NO_TREND
    open: Window = EMPTY
    """The window that fills."""
    lost: int = 0

    def raw(self) -> RawState:
        """Return the value for status."""
        trend = self.trend
        return {
            "v": trend.values,
            "w": trend.wealth,
            "o": _window_to_list(self.open),
            "x": self.lost,
        }


@lru_cache(MOST_PARSED)
def load_trend(text: str | None) -> TrendMemory | None:
    """Read the memory of a trend; None where it is not one."""
    raw = decode_state(text)
    try:
        values = tuple(_list_items(raw["v"]))[-MOST_WINDOWS:]
        wealth = _read_floats(raw["w"], len(NO_TREND.wealth))
        trend = Trend(read_floats(values), wealth)
        lost = int(raw["x"])  # type: ignore[call-overload]
        return TrendMemory(trend, _window_from(raw["o"]), lost)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


@record
class ValueMemory:
    """Of a number that a query answers."""

    signs: tuple[float, ...] = NO_WINDOWS.signs
    within: int = 0
    """Samples of this step in a row that kept the limit."""
    samples: int = 0
    age: float = 0.0
    """Seconds since the last sample."""
    looks: tuple[float, ...] = field(default=())
    lost: int = 0

    def raw(self) -> RawState:
        """Return the value for status."""
        return {
            "v": self.signs,
            "w": [self.within, self.samples],
            "g": self.age,
            "l": self.looks,
            "x": self.lost,
        }


@lru_cache(MOST_PARSED)
def load_value(text: str | None) -> ValueMemory | None:
    """Read a number's memory; None where it is not one."""
    raw = decode_state(text)
    try:
        within, samples = _read_ints(raw["w"], 2)
        signs = _read_floats(raw["v"], len(ValueMemory().signs))
        (age,) = _read_floats([raw["g"]], 1)
        lost = int(raw["x"])  # type: ignore[call-overload]
        return ValueMemory(signs, within, samples, age, _read_looks(raw["l"]), lost)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def are_sound(*values: float) -> bool:
    """Return whether every value can be stored and calculated with."""
    unsound = [value for value in values if not -MOST <= value <= MOST]
    return not unsound


def read_floats(raw: object) -> tuple[float, ...]:
    """Return the numbers of a list.

    Raises:
        ValueError: one of them is unsound, or no number.
        TypeError: there is no list.
        OverflowError: an integer is too large for a float.

    """
    values = tuple(map(float, _list_items(raw)))
    if not are_sound(*values):
        raise ValueError(raw)
    return values


@lru_cache(MOST_PARSED)
def load_counters(text: str | None) -> Counters:
    """Read what was read last of each source; those that are no two numbers are left out."""
    raw = decode_state(text).get(COUNTERS)
    found = {}
    for source, counted in raw.items() if isinstance(raw, dict) else ():
        try:
            total, second = read_floats(counted)
        except (ValueError, TypeError, OverflowError):
            continue
        found[source] = (total, second)
    return found


def append_look(looks: tuple[float, ...], value: float) -> tuple[float, ...]:
    """Return the last looks with one more."""
    return (*looks, float(f"{value:.4g}"))[-MOST_LOOKS:]


def _pair_to_list(pair: Pair) -> list[int]:
    return [pair.n_c, pair.k_c, pair.n_s, pair.k_s]


def _spells_to_list(spells: Spells) -> list[float]:
    present, worst = spells.present, spells.worst
    return [spells.seconds, present.n_c, present.k_c, worst.n_c, worst.k_c]


def _read_spells(raw: object) -> Spells:
    seconds, *counts = _read_floats(raw, 5)
    present, worst = _to_pair((*counts[:2], 0, 0)), _to_pair((*counts[2:], 0, 0))
    return Spells(max(0.0, seconds), present, worst)


def _window_to_list(window: Window) -> list[float]:
    return [window.n_c, window.sum_c, window.n_s, window.sum_s, window.seconds]


def _window_from(raw: object) -> Window:
    n_c, sum_c, n_s, sum_s, seconds = _read_floats(raw, 5)
    return Window(int(n_c), sum_c, int(n_s), sum_s, seconds)


def _read_floats(raw: object, length: int) -> tuple[float, ...]:
    values = read_floats(raw)
    if len(values) != length:
        raise ValueError(raw)
    return values


def _read_share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(value)
    return value


def _read_lists(raw: RawState, lengths: Mapping[str, int]) -> dict[str, tuple[float, ...]]:
    """Return lists of numbers, by key; all of them are checked at once, which is quicker."""
    lists = {key: tuple(map(float, _list_items(raw[key]))) for key in lengths}
    is_whole = [*map(len, lists.values())] == [*lengths.values()]
    if not is_whole or not are_sound(*chain(*lists.values())):
        raise ValueError(raw)
    return lists


def _to_pair(values: tuple[float, ...]) -> Pair:
    counts = [*map(int, values)]
    if min(counts) < 0:
        raise ValueError(values)
    return Pair(*counts)


def _read_ints(raw: object, length: int) -> tuple[int, ...]:
    return tuple(map(int, _read_floats(raw, length)))


def _read_looks(raw: object) -> tuple[float, ...]:
    return read_floats(tuple(_list_items(raw))[-MOST_LOOKS:])


def _list_items(raw: object) -> Sequence[float]:
    if not isinstance(raw, list | tuple):
        raise TypeError(raw)
    return raw
