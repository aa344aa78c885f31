"""Is the typical answer slower? From sums and counts, in windows of a minute.

Without second moments nothing about a mean holds for few samples, so a whole window is one
observation: D = log(candidate's mean / limit of stable's mean). Pairing cancels load that both
share. Two e-processes are averaged: the sign test, valid where D > 0 has at most even odds, and
the scale-free t mixture, which assumes that windows are about normal and not correlated.

Router latencies come as buckets without sums, so there the mean is the geometric one: less noisy
than the arithmetic one, and blind to the tail, which the slow shares watch.

Sources: H. Robbins, Statistical methods related to the law of the iterated logarithm (1970);
T. L. Lai, On confidence sequences (1976); H. Wang and A. Ramdas, Anytime-valid t-tests (2023).
"""

import math

from slipway.policy.statistics.eprocess import log_mean
from slipway.records import record, replace

WINDOW_SECONDS = 60.0
WINDOW_SAMPLES = 20
"""Of each revision; a window with fewer is made longer."""
FEWEST_WINDOWS = 3
TOLERATED = 0.2
"""Of the relative tolerance: 0.25 allows a mean that is 5% higher."""
TOLERATED_MILLIS = 1.0
"""What Envoy, which counts whole milliseconds, cannot tell apart."""
SIGN_BETS = (0.2, 0.4, 0.6, 0.8, 0.95)
_NO_WINS = (0.0,) * len(SIGN_BETS)


@record
class Window:
    """Counts and sums that belong together, since a moment."""

    n_c: int = 0
    sum_c: float = 0.0
    n_s: int = 0
    sum_s: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Window") -> "Window":
        return Window(
            self.n_c + other.n_c,
            self.sum_c + other.sum_c,
            self.n_s + other.n_s,
            self.sum_s + other.sum_s,
            self.seconds + other.seconds,
        )

    @property
    def is_full(self) -> bool:
        """Whether it is one observation."""
        enough = min(self.n_c, self.n_s) >= WINDOW_SAMPLES
        return enough and self.seconds >= WINDOW_SECONDS


EMPTY = Window()


@record
class MeanWindows:
    """What the windows said so far, and the one that is open."""

    windows: int = 0
    total: float = 0.0
    squares: float = 0.0
    signs: tuple[float, ...] = _NO_WINS
    """Log wealth of the sign test, by bet."""
    open: Window = EMPTY

    def with_window(self, difference: float) -> "MeanWindows":
        """Add a window's D."""
        sign = (difference > 0) - (difference < 0)
        wins = (math.log1p(bet * sign) for bet in SIGN_BETS)
        return replace(
            self,
            windows=self.windows + 1,
            total=self.total + difference,
            squares=self.squares + difference * difference,
            signs=tuple(old + won for old, won in zip(self.signs, wins, strict=True)),
        )

    @property
    def log_e(self) -> float:
        """The logarithm of the average of both e-values, against "not higher"."""
        return log_mean((log_mean(self.signs), self._t_mixture()))

    def _t_mixture(self) -> float:
        n, total, squares = self.windows, self.total, self.squares
        if n < FEWEST_WINDOWS or total <= 0 or squares <= 0:
            return 0.0
        rest = squares - total * total / (1 + n)
        return -0.5 * math.log1p(n) + 0.5 * n * (math.log(squares) - math.log(max(rest, 1e-300)))


def limit_millis(mean: float, relative: float) -> float:
    """Return the highest typical latency that is no worse than stable's, in milliseconds."""
    return (1 + TOLERATED * relative) * mean + TOLERATED_MILLIS
