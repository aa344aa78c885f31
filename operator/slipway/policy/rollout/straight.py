"""Straight to all of the traffic, without judging.

So go the first revision, a candidate that repairs an outage of stable, an earlier revision that a
person or the spec wants back, and a candidate that a person promotes.
"""

from slipway.policy.ladder import Rung
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.guards import not_paused
from slipway.policy.rollout.promotion import promote
from slipway.policy.rollout.raising import raise_weight
from slipway.policy.weights import ALL


def go_straight(draft: Draft) -> Draft:
    """Give the candidate all of the traffic; once every proxy has it so, promote."""
    if draft.written_weight < ALL:
        return raise_weight(draft, Rung(ALL))
    answer = not_paused(draft, "the promotion")
    return answer.draft if isinstance(answer, Held) else promote(answer.draft)
