"""What pairs and steps may get wrong together: the promises of a rollout, in two parts.

A rollout rolls back a version that is no worse with a chance of `falseRollback` at most, and lets
one that does more harm than `maxHarm` at a weight get there with a chance of 5% at most, whatever
it is judged by. Either part may be looked at at any time, and depend on the other: the chance that
one of the two is wrong is at most their sum. `tests/unit/policy/shadow` enumerates both promises.
"""

import math

from slipway.api.modeldeployment import ShadowState, ShadowStatus

OF_PAIRS = 0.5
"""Of the budget of false alarms, where pairs are compared; the steps have the rest, or else all."""
FALSE_PASS = 0.05
"""Chance of a weight with too much harm."""
FALSE_PASS_OF_PAIRS = 0.04
"""Pairs have most of it: where they allow all, no step is climbed."""
FALSE_PASS_OF_STEPS = FALSE_PASS - FALSE_PASS_OF_PAIRS


def share_left(shadow: ShadowStatus | None) -> float:
    """Return the part of the budget of false alarms that the steps and the bake may spend."""
    was_compared = shadow is not None and shadow.state is not ShadowState.OFF
    return 1 - OF_PAIRS if was_compared else 1.0


def evidence_to_pass(shadow: ShadowStatus | None) -> float:
    """Return the evidence that lets a candidate leave a step, in nats.

    Pairs that were never counted had no chance to be wrong.
    """
    had_pairs = shadow is not None and shadow.pairs > 0
    return -math.log(FALSE_PASS_OF_STEPS if had_pairs else FALSE_PASS)
