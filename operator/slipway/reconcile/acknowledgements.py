"""Remembers since when all proxies have run the newest route, by this process' own clock.

Agents say when they took a route by the clock of their node, which may differ by a minute from this
one. A new process counts anew: what drains then drains longer.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from slipway.engine.queue import Key
from slipway.policy.facts import Facts


@dataclass(frozen=True, slots=True)
class _Seen:
    """A route that was seen acknowledged."""

    uid: str
    generation: int
    since: datetime


class Acknowledgements:
    """The newest route of each object that every proxy was seen to run."""

    def __init__(self) -> None:
        self._seen: dict[Key, _Seen] = {}

    def note(self, key: Key, facts: Facts, now: datetime) -> Facts:
        """Return the facts with the moment since when the route has been acknowledged."""
        route = facts.route
        if route is None or not facts.is_acknowledged:
            self.forget(key)
            return facts

        seen = self._seen.get(key)
        if seen is None or (seen.uid, seen.generation) != (route.meta.uid, route.generation):
            seen = self._seen[key] = _Seen(route.meta.uid, route.generation, now)
        return replace(facts, acknowledged_at=seen.since)

    def forget(self, key: Key) -> None:
        """Forget an object that is gone."""
        self._seen.pop(key, None)
