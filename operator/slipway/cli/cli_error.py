"""Errors as people and scripts see them: one sentence, an exit code, and what to try next."""

import json
import sys
from enum import Enum, IntEnum, auto

from slipway.errors import SlipwayError


class ExitCode(IntEnum):
    """Exit codes; scripts rely on them."""

    OK = 0
    ERROR = 1
    """The cluster, kubectl or access: nothing is known about the rollout."""
    USAGE = 2
    REJECTED = 3
    """The goal is out of reach without a change: rejected, rolled back, held or stalled."""
    TIMEOUT = 4
    REFUSED = 5
    """The operator refused the action; the message says why."""
    NOT_FOUND = 6
    INTERRUPTED = 130


class Transient(Enum):
    """Whether the same call may succeed in a moment."""

    NO = auto()
    BRIEFLY = auto()
    """An API server that has just started fails like this for a moment; after that it is real."""
    YES = auto()


class CliError(SlipwayError):
    """Ends the command."""

    def __init__(
        self,
        message: str,
        code: ExitCode = ExitCode.ERROR,
        *,
        hint: str = "",
        transient: Transient = Transient.NO,
    ) -> None:
        """Take one sentence, the exit code, and the next command to try."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.transient = transient


def print_note(text: str, *, as_json: bool = False) -> None:
    """Print a remark on standard error; the command continues."""
    printed = json.dumps({"note": text}, ensure_ascii=False) if as_json else f"note: {text}"
    sys.stderr.write(printed + "\n")
    sys.stderr.flush()
