"""Trouble that outlasts a pass: said on the object once it has lasted, over when a pass succeeds.

An API server that has just started refuses for a moment what is allowed, so nothing is said at
once; rights that were taken away, or a store that takes no more, stay until a person acts.
"""

from datetime import timedelta

from slipway.engine.queue import Key
from slipway.errors import AdmissionDenied, ChangedUnderneath, DependencyError, Forbidden
from slipway.reconcile.decided import Trouble
from slipway.reconcile.ports import Clock

NO_WEBHOOK = "failed calling webhook"
PATIENCE = timedelta(seconds=10)


class Outages:
    """Remembers since when the passes of a key fail; a restart only begins to wait anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Key, float] = {}

    def failed(self, key: Key, error: Exception) -> Trouble | None:
        """Note a failed pass; return what the object should say, None: nothing yet."""
        if isinstance(error, ChangedUnderneath):
            return None
        if not isinstance(error, DependencyError):
            return Trouble("InternalError", f"{type(error).__name__}: {error}")
        now = self._clock.now().timestamp()
        lasted = now - self._since.setdefault(key, now)
        if lasted < PATIENCE.total_seconds():
            return None
        return Trouble(reason_of(error), str(error))

    def over(self, key: Key) -> None:
        """Note a pass that went well."""
        self._since.pop(key, None)


def reason_of(error: DependencyError) -> str:
    """Return the reason that a condition gives for an error."""
    if isinstance(error, AdmissionDenied):
        return "Refused"
    if isinstance(error, Forbidden):
        return "Forbidden"
    return "WebhookUnavailable" if NO_WEBHOOK in str(error) else "ClusterUnavailable"
