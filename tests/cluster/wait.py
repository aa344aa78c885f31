"""Waiting on a condition, with a deadline and a name for what did not come."""

import time
from collections.abc import Callable

from tests.patience import patient

EVERY_SECONDS = 0.2


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Return as soon as `condition` holds.

    Raises:
        AssertionError: it did not hold within `seconds`; names `what` was waited for.

    """
    seconds = patient(seconds)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(EVERY_SECONDS)
