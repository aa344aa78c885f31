"""What the end of a revision is called, for people and in events.

The outcome ``RolledBack`` in the status says that evidence took a revision out. Of a first version
nobody went back to anything, so it is called what it is: rejected. The word in the status stays,
because an operator or a CRD of an earlier release refuses a whole object over one that it does not
know.
"""

from collections.abc import Sequence

from slipway.api.reasons import Reason


def name_end(outcomes: Sequence[str], position: int, *, is_serving: bool) -> str:
    """Return the reason that says how a revision ended.

    Args:
        outcomes: those of the history, the oldest first.
        position: which of them is asked about.
        is_serving: whether there is a stable revision now.

    """
    # The beginning of a long history is gone, so that a version may serve which it does not have.
    served_before = Reason.PROMOTED in outcomes[:position]
    served_first_later = Reason.PROMOTED in outcomes[position + 1 :]
    is_first = not served_before and (served_first_later or not is_serving)
    if outcomes[position] == Reason.ROLLED_BACK and is_first:
        return Reason.REVISION_REJECTED
    return outcomes[position]
