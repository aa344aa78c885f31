"""Outages: trouble that outlasts a pass, reported once it has lasted, over when a pass succeeds.

An API server that has just started refuses for a moment what is allowed, so nothing is reported at
once. Permissions that were revoked, or a store that takes no more, stay until a person acts.
"""

from datetime import timedelta

from slipway.api.reasons import Reason, Why
from slipway.engine.queue import Key
from slipway.errors import (
    AdmissionDenied,
    ChangedUnderneath,
    DependencyError,
    Forbidden,
    WebhookUnavailable,
)
from slipway.reconcile.decided import Trouble
from slipway.reconcile.ports import Clock

PATIENCE = timedelta(seconds=10)
"""For which an outage is not reported."""


class Outages:
    """Remembers since when the passes of each key fail; after a restart, from the first failure."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Key, float] = {}

    def note_failure(self, key: Key, error: Exception) -> Trouble | None:
        """Note a failed pass; return what the status should report, None: nothing yet."""
        if isinstance(error, ChangedUnderneath):
            return None
        if not isinstance(error, DependencyError):
            return Trouble(Why(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"))

        now = self._clock.now().timestamp()
        lasted = now - self._since.setdefault(key, now)
        if lasted < PATIENCE.total_seconds():
            return None
        return Trouble(Why(reason_of(error), str(error)))

    def end(self, key: Key) -> None:
        """Note a pass that succeeded."""
        self._since.pop(key, None)


def reason_of(error: DependencyError) -> Reason:
    """Return the reason that a condition gives for an error."""
    match error:
        case AdmissionDenied():
            return Reason.REFUSED
        case Forbidden():
            return Reason.FORBIDDEN
        case WebhookUnavailable():
            return Reason.WEBHOOK_UNAVAILABLE
        case _:
            return Reason.CLUSTER_UNAVAILABLE
