"""When this pod may take requests, and when it should leave."""

from slipway.agent.admin import Admin
from slipway.agent.conductor import Conductor


class Health:
    """Answers the probes. Each answer is a reason against, or None.

    Losing the API server changes no answer: what Envoy has, it serves.
    """

    def __init__(self, conductor: Conductor, admin: Admin) -> None:
        self._conductor = conductor
        self._admin = admin
        self._was_complete = False
        self.inherited = False
        """Envoy served before this agent started: it goes on, whatever the API server does."""
        self.draining = False

    async def why_not_started(self) -> str | None:
        """Envoy may start: there is something for it to read."""
        if self.inherited or self._conductor.programmed.is_set():
            return None
        return "routes and endpoints are not known yet"

    async def why_not_healthy(self) -> str | None:
        """The pod is not leaving."""
        return "draining" if self.draining else None

    async def why_not_ready(self) -> str | None:
        """Envoy runs everything that was known at start, and still lives."""
        if self.draining:
            return "draining"
        self._was_complete |= self._conductor.acknowledged.is_set() or self.inherited
        if not self._was_complete:
            return "Envoy does not run all listeners and clusters yet"
        return None if await self._admin.is_live() else "Envoy does not answer"
