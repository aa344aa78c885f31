"""Who writes the replicas of a revision that KEDA scales, and what it may be let down to.

KEDA never goes below the least that it was given, and Slipway never writes less than it finds. So
the two may write the same field: whoever writes, the number only rises to the rollout's floor, and
KEDA alone lets it down again.
"""

from datetime import datetime, timedelta

from slipway.api import kinds
from slipway.api.modeldeployment import ScalingEngine
from slipway.policy.facts import AutoscalerFact, Facts

KEDA_ANSWERS_WITHIN = timedelta(seconds=30)
"""A ScaledObject that is deleted for longer is one that no KEDA looks after: it acts no more."""


def hold_until_measured(facts: Facts, revision: str, floor: int) -> int:
    """Return the least that KEDA is given: what there is, until it has measured the load itself.

    So a hand-over begins with the number that it finds, and what cannot be measured takes nothing
    away.
    """
    found, workload = facts.autoscalers.get(revision), facts.workloads.get(revision)
    is_let_down = found is not None and found.is_kedas and found.measures
    return floor if workload is None or is_let_down else max(floor, workload.replicas)


def may_raise(facts: Facts, revision: str, floor: int) -> bool:
    """Return whether Slipway itself raises a revision to the rollout's floor, with engine KEDA.

    Where KEDA has the floor already, both write the same. Where it has not but could measure, it
    would take the replicas away again: it is waited for. Without a measurement it does neither.
    """
    if facts.spec.scaling.engine is not ScalingEngine.KEDA:
        return False
    found = facts.autoscalers.get(revision)
    return found is None or not found.is_kedas or not found.measures or found.least >= floor


def is_held_by_keda(facts: Facts, revision: str) -> bool:
    """Return whether KEDA or its autoscaler may still write, after another engine was chosen."""
    found = facts.autoscalers.get(revision)
    is_chosen = facts.spec.scaling.engine is ScalingEngine.KEDA
    return found is not None and found.is_kedas and not is_chosen


def may_raise_again(facts: Facts, revision: str, now: datetime) -> bool:
    """Return whether KEDA would raise a revision that is taken to zero: it has to let go first."""
    found = facts.autoscalers.get(revision)
    if found is None or not is_scaled_object(found):
        return False  # an autoscaler that is left alone keeps its hands off zero
    since = found.leaving_since
    return since is None or now - since < KEDA_ANSWERS_WITHIN


def is_scaled_object(found: AutoscalerFact) -> bool:
    """Return whether a ScaledObject exists, as opposed to an autoscaler that outlived it."""
    return found.kind == kinds.SCALED_OBJECT.kind
