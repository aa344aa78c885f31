"""What is remembered of the comparison of answers, and how it ends."""

from dataclasses import replace

from slipway.api.modeldeployment import ShadowState, ShadowStatus
from slipway.api.reasons import shortened
from slipway.policy.rollout_memory import RolloutMemory
from slipway.policy.shadow.finding import PairsFinding


def note_finding(shadow: ShadowStatus, finding: PairsFinding, message: str) -> ShadowStatus:
    """Return what is known after a look."""
    return shadow.model_copy(
        update={
            "message": shortened(message),
            "pairs": finding.counts.pairs,
            "dropped": finding.counts.dropped,
            "differences": list(finding.differences) or shadow.differences,
        }
    )


def first_weight(memory: RolloutMemory) -> int:
    """Return the weight up to which pairs have ruled harm out, in percent; 0: none."""
    return memory.shadow.first_weight if memory.shadow is not None else 0


def note_first_weight(memory: RolloutMemory, weight: int) -> RolloutMemory:
    """Return the memory with the weight that the pairs allow so far, for a person who approves."""
    if memory.shadow is None:
        return memory
    return replace(memory, shadow=memory.shadow.model_copy(update={"first_weight": weight}))


def end_shadow(
    memory: RolloutMemory, state: ShadowState, message: str, weight: int = 0
) -> RolloutMemory:
    """Return the memory with the comparison over; the steps begin at the weight that it allows."""
    shadow = memory.shadow or ShadowStatus(state=state)
    update = {"state": state, "message": shortened(message), "first_weight": weight}
    return replace(memory, shadow=shadow.model_copy(update=update))


def end_early(memory: RolloutMemory, message: str) -> RolloutMemory:
    """Return the memory with the comparison ended by a person: the steps show all by themselves."""
    return end_shadow(memory, ShadowState.ENDED, message)
