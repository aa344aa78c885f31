"""Writes that were refused a moment ago, and are not tried again at once.

An object whose load is followed, or whose candidate is judged, has a pass every second: its passes
go on, while what was refused waits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.engine.queue import Key
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.rollout.rolling_back import brings_back
from slipway.reconcile.decided import Decided, Trouble
from slipway.reconcile.ports import Clock

RETRY_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RefusedWrite:
    """What was to be written, and why it was not."""

    basis: tuple[object, ...]
    """What the writes followed from."""
    trouble: Trouble
    at: datetime


class RefusedWrites:
    """Remembers one refusal per object; after a restart, the write is tried once more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Key, RefusedWrite] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists."""
        self._known.pop(key, None)

    async def unless_refused(
        self,
        key: Key,
        decided: Decided,
        write: Callable[[Decided], Awaitable[Trouble | None]],
    ) -> Trouble | None:
        """Write, unless the same was refused within `RETRY_AFTER`: then return that refusal."""
        now, known = self._clock.now(), self._known.get(key)
        basis = _basis_of(decided.decision, decided.facts)
        is_same = known is not None and known.basis == basis and now - known.at < RETRY_AFTER
        if known is not None and is_same and not _is_urgent(decided.decision, decided.facts):
            return known.trouble

        trouble = await write(decided)
        if trouble is None:
            self._known.pop(key, None)
        else:
            self._known[key] = RefusedWrite(basis, trouble, now)
        return trouble


def _is_urgent(decision: Decision, facts: Facts) -> bool:
    route = facts.route
    is_due = route is not None and dict(route.weights) != dict(decision.weights)
    return is_due and brings_back(decision, facts)


def _basis_of(decision: Decision, facts: Facts) -> tuple[object, ...]:
    """Return what the writes of a pass follow from."""
    meta = facts.metadata
    return (
        # the object, and what was decided
        (meta.uid, meta.generation),
        (decision.stable, decision.candidate, decision.header_revision),
        (dict(decision.weights), dict(decision.replicas), dict(decision.floors)),
        (decision.package, decision.make_revision, decision.check),
        (decision.outcomes, decision.calls),
        # what exists of it already
        facts.route.weights if facts.route is not None else None,
        {name: (item.meta.uid, item.replicas) for name, item in facts.workloads.items()},
        {name: item.meta.uid for name, item in facts.autoscalers.items()},
    )
