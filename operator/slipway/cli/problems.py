"""What goes wrong, as people and scripts are told: one sentence, an exit code, what to try next."""

import json
import sys
from enum import Enum, IntEnum, auto

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


class Passing(Enum):
    """Whether the same call may succeed in a moment."""

    NO = auto()
    SOON = auto()
    """An API server that has just started says so for a moment; when it goes on, it is meant."""
    YES = auto()


class Problem(SlipwayError):
    """Something that ends the command."""

    def __init__(
        self,
        message: str,
        code: Exit = Exit.ERROR,
        *,
        hint: str = "",
        passes: Passing = Passing.NO,
    ) -> None:
        """Give one sentence, the exit code, and the next command to try."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.passes = passes


def note(text: str, *, as_json: bool = False) -> None:
    """Say something on standard error that does not end the command."""
    said = json.dumps({"note": text}, ensure_ascii=False) if as_json else f"note: {text}"
    sys.stderr.write(said + "\n")
    sys.stderr.flush()
