"""What goes wrong, as people and scripts are told: one sentence, an exit code, what to try next."""

import sys
from enum import IntEnum

from slipway.errors import SlipwayError


class Exit(IntEnum):
    """Exit codes; scripts rely on them."""

    OK = 0
    ERROR = 1
    """The cluster, kubectl or rights: nothing is known about the rollout."""
    USAGE = 2
    REJECTED = 3
    """What was waited for will not come by itself: rejected, rolled back, held or stalled."""
    TIMEOUT = 4
    REFUSED = 5
    """The operator refused the action; the reason is said."""
    NOT_FOUND = 6
    INTERRUPTED = 130


class Problem(SlipwayError):
    """Something that ends the command."""

    def __init__(
        self, message: str, code: Exit = Exit.ERROR, *, hint: str = "", passes: bool = False
    ) -> None:
        """Give one sentence, the exit code, and the next command to try.

        `passes` is True when the same call may succeed in a moment.
        """
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.passes = passes


def note(text: str) -> None:
    """Say something on standard error that does not end the command."""
    sys.stderr.write(f"note: {text}\n")
    sys.stderr.flush()
