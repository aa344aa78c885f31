"""What the two worlds of the tests have in common: the questions that a story is judged by.

Which world to take:

* `tests.unit.policy.world.DecisionWorld` asks **what is decided**: facts are made by hand, no
  manifest is rendered and nothing is awaited, so that thousands of passes take a second. Random
  walks, the tables of actions and transitions, and the promises that each decision keeps.
* `tests.unit.reconcile.world.OperatorWorld` asks **what is written**: the real operator reads and
  writes manifests in an API server in memory. Objects and their order, conflicts, refusals, crashes
  between two writes, and the rest that everything comes to.

Each has its own `ask_for`, `act` and `settle`: the second one's are awaited. The first writes by
itself what was decided, in the order of `slipway.reconcile.execute`: that module needs manifests
and a cluster. tests/unit/reconcile/test_both_worlds.py tells the same stories in both, and compares
all weights that were written.
"""

from typing import Protocol


class RolloutWorld(Protocol):
    """A world with one ModelDeployment, digits, and its rollouts."""

    def serving(self) -> str | None:
        """Version that has all of the traffic; None while it is shared or there is none."""

    def stage(self) -> str:
        """Stage of the rollout; empty before the first status."""

    def outcomes(self) -> list[tuple[str, str]]:
        """Versions and how they ended, the oldest first."""

    def written_weights(self) -> list[dict[str, int]]:
        """All weights by version that were ever written for digits, the oldest first."""


class Killed(BaseException):
    """The operator was killed between two writes: nothing of it may catch this."""
