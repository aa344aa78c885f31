"""Evidence by stratum: does one part of the candidate's requests fare worse than stable's?

A stratum is a pod. Each has an e-process of its own (`eprocess`) against "no worse than stable".
All of them are compared with the same requests of stable, so they depend on each other, and their
product would count stable's luck once for each. They are merged by a weighted mean, which is an
e-value however they depend on each other (V. Vovk and R. Wang, E-values, 2021).

The weights are parts of a purse. What a stratum is given is taken from what lies idle, and one that
goes gives back what it has left, at most what it was given. So whatever comes and goes, the whole
starts at 1 and is a supermartingale where no stratum is worse, and P(ever >= 1/alpha) <= alpha.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from math import exp, log

from slipway.policy.statistics.eprocess import StartMixture, log_of, log_sum
from slipway.records import record, replace

GIVEN = 0.75
"""Of what lies idle, to the strata that begin; the rest is for those that come later."""


@record
class Stratum:
    """The evidence that one stratum is worse."""

    given: float
    """Part of the whole that it began with, 0 to 1."""
    starts: StartMixture = field(default_factory=StartMixture)

    @property
    def log_e(self) -> float:
        """Its part of the whole, as a logarithm."""
        return log_of(self.given) + self.starts.log_e

    def after(self, won: Sequence[float], placed: float, most: float) -> "Stratum":
        """Return the stratum after a look; evidence beyond `most`, a logarithm, is not kept.

        So it is forgiven soon after it has healed. Less evidence is still valid evidence.
        """
        after = replace(self, starts=self.starts.after(won, placed))
        surplus = after.log_e - most
        if surplus <= 0:
            return after
        wealth = tuple(value - surplus for value in after.starts.wealth)
        return replace(self, starts=replace(after.starts, wealth=wealth))


@record
class StrataMixture:
    """The evidence that some stratum is worse."""

    idle: float = 1.0
    """Given to none, 0 to 1."""
    strata: Mapping[str, Stratum] = field(default_factory=dict)

    def with_members(self, present: Collection[str]) -> "StrataMixture":
        """Return the mixture of these strata: others go, and new ones begin."""
        gone = (each for key, each in self.strata.items() if key not in present)
        idle = self.idle + sum(min(each.given, exp(min(0.0, each.log_e))) for each in gone)
        kept = {key: each for key, each in self.strata.items() if key in present}

        new = [key for key in present if key not in kept]
        if not new:
            return StrataMixture(idle, kept)
        part = GIVEN * idle / len(new)
        begun = {key: Stratum(part) for key in new}
        return StrataMixture(idle - part * len(new), {**kept, **begun})

    @property
    def log_e(self) -> float:
        """The logarithm of the whole: of the weighted mean of all strata's e-values."""
        return log_sum((log_of(self.idle), *(each.log_e for each in self.strata.values())))


def most_evidence(enough: float) -> float:
    """Return the logarithm of what a stratum keeps, where that of `enough` decides."""
    return enough + log(10.0)
