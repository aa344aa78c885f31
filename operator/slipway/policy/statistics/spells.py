"""Time in spells, the worst of which is no evidence: a busy moment does not make a version slow.

An e-process for a fixed limit takes requests for independent. Slow answers come in bursts: caches
are cold just after a switch, a neighbour takes the processor for a second. One burst is far beyond
what chance explains, and says nothing of the version. So requests are counted in spells, and the
worst one is held back: a Fail takes two. What is held back exceeds the limit, so what is left says
less against the candidate; only the boldest bets may lose by a spell just above the limit. A test
counts that a version at the limit is taken back no more often than promised.
"""

from slipway.policy.statistics.eprocess import NOTHING, Pair
from slipway.records import record

SPELL_SECONDS = 10.0
"""Longer than a burst, shorter than a person's patience with a slow version."""


@record
class Spells:
    """The spell that fills, and the worst one that ended."""

    seconds: float = 0.0
    """How long the present one has lasted."""
    present: Pair = NOTHING
    worst: Pair = NOTHING
    """The one that exceeds the limit by the most events; nothing where none does."""

    def after(self, delta: Pair, seconds: float, limit: float) -> tuple["Spells", Pair]:
        """Return the spells after a look, and what is evidence now.

        Nothing is, until a spell ends; then it or the one that was the worst before it.
        """
        lasted, present = self.seconds + max(0.0, seconds), self.present + delta
        if lasted < SPELL_SECONDS:
            return Spells(lasted, present, self.worst), NOTHING
        if _excess(present, limit) > _excess(self.worst, limit):
            return Spells(worst=present), self.worst
        return Spells(worst=self.worst), present


UNSPELLED = Spells()


def _excess(spell: Pair, limit: float) -> float:
    return spell.k_c - limit * spell.n_c
