"""Guards what reads and judges evidence: a fault there costs the evidence, never the pass.

Whoever sends the evidence, and whatever bug of ours it meets, an abort, a roll back and a new
version are decided without it.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from slipway.api.reasons import Reason, Why
from slipway.errors import FencedError, SlipwayError

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_SECONDS = 3.0
"""For which a source may keep a pass; each has a shorter limit of its own."""
REMEMBERED = 1024
"""Faults whose traceback is not logged again."""


class Guard:
    """Turns what a source or a computation raises into a reason, and logs each fault once."""

    def __init__(self) -> None:
        self._logged: OrderedDict[str, str] = OrderedDict()
        """What failed, and the error that was logged of it."""

    async def ask(self, what: str, question: Callable[[], Awaitable[T]]) -> T | Why:
        """Return the answer, or why there is none; `what` completes "could not ...".

        Raises:
            FencedError: this process may not act any more.

        """
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                answer = await question()
        except FencedError:
            raise
        except TimeoutError:
            return Why(Reason.METRICS_UNAVAILABLE, f"could not {what} in time")
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the pass itself is to end
            return self._note(what, error)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the pass goes on
            return self._note(what, error)

        self._logged.pop(what, None)
        return answer

    def compute(self, what: str, computation: Callable[[], T]) -> T | Why:
        """Return the result, or why there is none; `what` completes "could not ..."."""
        try:
            result = computation()
        except Exception as error:  # noqa: BLE001 -- whatever it is, the pass goes on
            return self._note(what, error)

        self._logged.pop(what, None)
        return result

    def _note(self, what: str, error: BaseException) -> Why:
        """Log a fault when it is new; the reason repeats nothing of what a pod may have sent."""
        name = type(error).__name__
        if self._logged.get(what) != name:
            is_bug = not isinstance(error, SlipwayError)
            log.error("could not %s: %s", what, error, exc_info=error if is_bug else None)

        self._logged[what] = name
        self._logged.move_to_end(what)
        if len(self._logged) > REMEMBERED:
            self._logged.popitem(last=False)
        return Why(Reason.METRICS_UNAVAILABLE, f"could not {what}: {name}; see the operator's log")
