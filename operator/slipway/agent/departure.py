"""A pod that is told to end: when its Envoy may, without cutting a request."""

import asyncio
import logging
import time
from collections.abc import Callable

from slipway.agent.admin import Admin, EnvoyGone, EnvoyUnavailable
from slipway.render.departure import LEAVE_SECONDS, LONGEST_REQUEST_SECONDS

log = logging.getLogger(__name__)

BEGINS_WITHIN = 3.0
"""Both hooks of a pod that is deleted run at the same time: of Envoy's and of the agent."""
LOOK_SECONDS = 0.25
STALLED_SECONDS = 20.0
"""An Envoy that answers nothing for so long answers no client either."""


class Departure:
    """Begins once, and ends when clients have moved away and nothing of theirs is in flight."""

    def __init__(
        self,
        admin: Admin,
        clock: Callable[[], float] = time.monotonic,
        leave_seconds: float = LEAVE_SECONDS,
    ) -> None:
        """`leave_seconds` is how long Envoy serves on at least, while clients move away."""
        self._admin = admin
        self._clock = clock
        self._leave_seconds = leave_seconds
        self._begun = self._answered = 0.0
        """When the pod was told to end, and when Envoy last answered since."""
        self._told = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        """Whether the pod is ending."""
        return self._told.is_set()

    def begin(self) -> None:
        """Note that the pod is ending."""
        if not self._told.is_set():
            self._begun = self._answered = self._clock()
        self._told.set()

    async def wait_idle(self) -> str:
        """Return why Envoy may end, once it may.

        Where only its container is to end, because it stands still, the pod is not ending, and
        there is nothing to wait for.
        """
        try:
            async with asyncio.timeout(BEGINS_WITHIN):
                await self._told.wait()
        except TimeoutError:
            return "the pod is not ending"

        while True:
            why = await self._why_idle()
            if why is not None:
                log.info("Envoy may end: %s", why)
                return why
            await asyncio.sleep(LOOK_SECONDS)

    async def _why_idle(self) -> str | None:
        try:
            in_flight = await self._admin.requests_in_flight()
        except EnvoyGone as error:
            return str(error)
        except EnvoyUnavailable as error:
            return str(error) if self._clock() - self._answered >= STALLED_SECONDS else None

        self._answered = self._clock()
        elapsed = self._answered - self._begun
        if elapsed >= LONGEST_REQUEST_SECONDS:
            return f"{in_flight} requests took longer than {LONGEST_REQUEST_SECONDS} s"
        return "nothing is in flight" if elapsed >= self._leave_seconds and not in_flight else None
