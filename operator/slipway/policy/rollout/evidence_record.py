"""What was shown at which weight: a weight counts as judged by its own record."""

from dataclasses import replace

from slipway.api.modeldeployment import ShadowState, ShadowStatus
from slipway.policy.rollout.draft import Draft


def note_pass(draft: Draft) -> Draft:
    """Return the draft with word that the analysis said Pass at the present weight."""
    judged = max(draft.memory.judged_weight, draft.written_weight)
    return draft.remember(replace(draft.memory, judged_weight=judged))


def was_judged(draft: Draft) -> bool:
    """Return whether this rollout has a Pass, of a step or of pairs, or a person skipped a step."""
    memory = draft.memory
    return memory.judged_weight > 0 or memory.skipped is not None or passed_shadow(memory.shadow)


def passed_shadow(shadow: ShadowStatus | None) -> bool:
    """Return whether pairs of answers ruled harm out at the weight that it began with."""
    return shadow is not None and shadow.state is ShadowState.PASSED
