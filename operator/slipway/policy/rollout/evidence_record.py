"""What was shown at which weight: a weight counts as judged by its own record."""

from dataclasses import replace

from slipway.policy.rollout.draft import Draft


def note_pass(draft: Draft) -> Draft:
    """Return the draft with word that the analysis said Pass at the present weight."""
    judged = max(draft.memory.judged_weight, draft.written_weight)
    return draft.remember(replace(draft.memory, judged_weight=judged))


def was_judged(draft: Draft) -> bool:
    """Return whether the analysis has said Pass in this rollout, or a person skipped a step."""
    return draft.memory.judged_weight > 0 or draft.memory.skipped is not None
