"""The weights that a candidate climbs."""

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.api.modeldeployment import Approval
from slipway.api.modeldeployment.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Rung:
    """A weight to climb to."""

    weight: int
    number: int = 0
    """Position among spec.rollout.steps, from 1; one more for the bake."""
    hold_seconds: int = 0
    needs_approval: bool = False


def list_rungs(rollout: Rollout) -> tuple[Rung, ...]:
    """Return the weights to climb, the bake's last."""
    rungs = [
        Rung(step.weight, number, step.hold_seconds, step.approval is Approval.REQUIRED)
        for number, step in enumerate(rollout.steps, start=1)
    ]
    return (*rungs, Rung(100 - rollout.bake_control_percent, len(rungs) + 1))


def find_next_rung(rungs: Sequence[Rung], weight: int) -> Rung:
    """Return the first rung above `weight`; the last one, where there is none."""
    return next((rung for rung in rungs if rung.weight > weight), rungs[-1])
