"""The pod's probes: when it may start, take requests, and when it is leaving."""

from slipway.agent.admin import Admin
from slipway.agent.conductor import Conductor
from slipway.agent.departure import Departure


class Health:
    """Answers the probes; each answer is the reason against, or None.

    Losing the API server changes no answer: Envoy goes on serving what it has.
    """

    def __init__(self, conductor: Conductor, admin: Admin, departure: Departure) -> None:
        self._conductor = conductor
        self._admin = admin
        self._departure = departure
        self._was_complete = False
        self.inherited = False
        """Whether Envoy served before this agent started; it then goes on serving in any case."""

    async def why_not_started(self) -> str | None:
        """Return why Envoy must not start yet: there is nothing for it to read."""
        if self.inherited or self._conductor.programmed.is_set():
            return None
        return "routes and endpoints are not known yet"

    async def why_not_healthy(self) -> str | None:
        """Return whether the pod is leaving."""
        return "draining" if self._departure.has_begun else None

    async def why_not_ready(self) -> str | None:
        """Return why the pod must get no requests.

        It is ready once Envoy runs everything that was known at start, and while Envoy answers.
        """
        if self._departure.has_begun:
            return "draining"

        self._was_complete |= self._conductor.acknowledged.is_set() or self.inherited
        if not self._was_complete:
            return "Envoy is not running all listeners and clusters yet"
        return None if await self._admin.is_live() else "Envoy does not answer"
