"""What a number of agreeing cases proves: an exact lower bound, and an exact test against stable.

Sources: C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated in
the case of the binomial, Biometrika 26 (1934) 404-413; Q. McNemar, Note on the sampling error of
the difference between correlated proportions or percentages, Psychometrika 12 (1947) 153-157, in
its exact form.
"""

import math
from dataclasses import dataclass

CONFIDENCE = 0.95
REGRESSED = 0.01
"""A candidate that is worse than stable with a smaller p-value has regressed: one good candidate in
two hundred would be refused by chance if it disagreed with stable as often either way."""
HALVINGS = 60
"""Of the interval in which the bound lies: finer than a float needs."""


def lower_bound(agreed: int, total: int, confidence: float = CONFIDENCE) -> float:
    """Return what the true share is at least, one-sided, by Clopper and Pearson.

    It is the share at which so many agreeing cases or more would be seen with probability
    1 - `confidence`; the tail grows with the share, so that halving finds it.
    """
    if agreed <= 0:
        return 0.0

    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _at_least(agreed, total, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def _at_least(count: int, total: int, share: float) -> float:
    """Return the probability of `count` or more of `total` at a share inside (0, 1)."""
    yes, no = math.log(share), math.log1p(-share)

    def term(number: int) -> float:
        ways = math.lgamma(total + 1) - math.lgamma(number + 1) - math.lgamma(total - number + 1)
        return math.exp(ways + number * yes + (total - number) * no)

    return math.fsum(term(number) for number in range(count, total + 1))


def mcnemar_p(worse: int, better: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Of the cases on which the two disagree, each falls on either side with probability one half if
    neither is worse.
    """
    discordant = worse + better
    tail, ways = 0, 1
    for number in range(min(worse, better) + 1):
        tail += ways
        ways = ways * (discordant - number) // (number + 1)
    return min(1.0, 2 * tail / (1 << discordant))


@dataclass(frozen=True, slots=True)
class PairedAgreement:
    """The same cases, asked of stable too."""

    agreed: int
    """Cases in which stable agrees."""
    worse: int
    """Cases in which stable agrees and the candidate does not."""
    better: int
    """Cases in which the candidate agrees and stable does not."""

    @property
    def p(self) -> float:
        """How often so uneven a split comes by chance; exact."""
        return mcnemar_p(self.worse, self.better)

    @property
    def has_regressed(self) -> bool:
        """Whether the candidate is worse than stable beyond doubt."""
        return self.worse > self.better and self.p < REGRESSED

    def __str__(self) -> str:
        return f"compared with stable: {self.worse} worse, {self.better} better, p = {self.p:.2g}"


def compare_paired(candidate: list[bool], stable: list[bool]) -> PairedAgreement:
    """Compare the agreement of both, case by case."""
    pairs = list(zip(candidate, stable, strict=True))
    return PairedAgreement(
        agreed=sum(stable),
        worse=pairs.count((False, True)),
        better=pairs.count((True, False)),
    )
