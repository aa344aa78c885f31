"""What was refused a moment ago, and is not asked for again at once.

An object whose load is followed, or whose candidate is judged, is looked at every second: its
passes go on in trouble, what was refused waits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.engine.queue import Key
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.rollout.rolling_back import brings_back
from slipway.reconcile.decided import Trouble
from slipway.reconcile.ports import Clock

AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RefusedWrite:
    """What was to be written, and why it was not."""

    writes: tuple[object, ...]
    trouble: Trouble
    at: datetime


class RefusedWrites:
    """Remembers one refusal per object and kind of writes; a restart only asks once more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[Key, str], RefusedWrite] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that exists no more."""
        self._known = {place: known for place, known in self._known.items() if place[0] != key}

    async def unless_refused(
        self,
        place: tuple[Key, str],
        decision: Decision,
        facts: Facts,
        write: Callable[[], Awaitable[Trouble | None]],
    ) -> Trouble | None:
        """Write, unless the same was refused within `AGAIN`: then that answer counts."""
        now, known = self._clock.now(), self._known.get(place)
        writes = _writes(decision, facts)
        is_fresh = known is not None and known.writes == writes and now - known.at < AGAIN
        if known is not None and is_fresh and not _is_urgent(decision, facts):
            return known.trouble
        trouble = await write()
        if trouble is None:
            self._known.pop(place, None)
        else:
            self._known[place] = RefusedWrite(writes, trouble, now)
        return trouble


def _is_urgent(decision: Decision, facts: Facts) -> bool:
    route = facts.route
    is_due = route is not None and dict(route.weights) != dict(decision.weights)
    return is_due and brings_back(decision, facts)


def _writes(decision: Decision, facts: Facts) -> tuple[object, ...]:
    """Return what the writes of a pass follow from."""
    meta = facts.metadata
    return (
        (meta.uid, meta.generation),
        (decision.stable, decision.candidate, decision.header_revision),
        (dict(decision.weights), dict(decision.replicas), dict(decision.floors)),
        (
            decision.package,
            decision.make_revision,
            decision.check,
            decision.outcomes,
            decision.calls,
        ),
        facts.route.weights if facts.route is not None else None,
        {name: (item.meta.uid, item.replicas) for name, item in facts.workloads.items()},
        {name: item.meta.uid for name, item in facts.autoscalers.items()},
    )
