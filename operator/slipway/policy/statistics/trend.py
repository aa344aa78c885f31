"""Does a number grow with time? The ranks of its windows, with nothing assumed about their size.

While nothing changes, windows are exchangeable: the rank of the newest among those so far is as
likely to be any as another, whatever came before. A bet with exponent k pays, for the rank R of n,

    e = n ((R/n)^k - ((R - 1)/n)^k)

which is 1 on average over the n ranks, and up to k for the highest. So the product over windows is
a martingale, and reaches 1/alpha with a probability of at most alpha, however often one looks.
Where the number tends to fall, the newest ranks are low and the bets lose. Ties share what their
ranks pay. What is tolerated is subtracted from every window before it is ranked.

Sources: V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005), conformal
martingales; A. Barnard (1959) for sequential ranks. `tests/unit/policy/statistics/test_trend.py`
counts E[e] = 1 out over all orders.
"""

import math
from collections.abc import Sequence

from slipway.policy.statistics.eprocess import log_mean
from slipway.records import record, replace

EXPONENTS = (2.0, 5.0, 15.0)
MOST_WINDOWS = 60
"""That are ranked together; then the ranks begin anew."""
LATEST = 3
"""Windows that say how large the number is now."""


@record
class Trend:
    """The windows of a step, and what the ranks of all steps have won."""

    values: tuple[float, ...] = ()
    wealth: tuple[float, ...] = (0.0,) * len(EXPONENTS)
    """Log, by exponent."""

    def with_window(self, value: float) -> "Trend":
        """Rank one more window."""
        values = (*self.values, value)
        won = log_paid(values)
        wealth = tuple(old + new for old, new in zip(self.wealth, won, strict=True))
        return Trend(values if len(values) < MOST_WINDOWS else (), wealth)

    def restarted(self) -> "Trend":
        """Forget the windows, as at a change of weight, after which others are to be expected."""
        return replace(self, values=())

    @property
    def log_e(self) -> float:
        """The logarithm of the evidence for growth."""
        return log_mean(self.wealth)

    @property
    def latest(self) -> float:
        """The mean of the last windows; 0 without any."""
        last = self.values[-LATEST:]
        return sum(last) / len(last) if last else 0.0


def log_paid(values: Sequence[float]) -> tuple[float, ...]:
    """Return the logarithm of what each exponent pays for the last of `values`."""
    newest, number = values[-1], len(values)
    below = sum(value < newest for value in values)
    upto = below + sum(value == newest for value in values)
    return tuple(
        math.log(number * ((upto / number) ** k - (below / number) ** k) / (upto - below))
        for k in EXPONENTS
    )
