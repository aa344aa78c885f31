"""Lets no more rollouts begin than may run at once, across all ModelDeployments of the cache.

The statuses say who runs and who waits. What this process has decided and the cache does not show
yet is remembered for as long as such a write takes; a process that is killed before it wrote the
status has started nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from slipway.api import kinds
from slipway.api.modeldeployment import ModelDeployment
from slipway.engine.cache import Cache
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.turns import Place, describe_wait, find_place
from slipway.reconcile.ports import Clock
from slipway.settings import RolloutLimits

SEEN_WITHIN = timedelta(seconds=60)
"""A status that was written is in the cache by then."""


@dataclass(frozen=True, slots=True)
class _Begun:
    version: str
    """resourceVersion of the object as it was read."""
    at: datetime


class Turns:
    """Knows whose turn it is."""

    def __init__(self, cache: Cache, limits: RolloutLimits, clock: Clock) -> None:
        self._cache = cache
        self._limits = limits
        self._clock = clock
        self._begun: dict[str, _Begun] = {}

    def with_turn(self, facts: Facts) -> Facts:
        """Return the facts with why a rollout may not begin yet, where one would."""
        wanted = facts.wanted
        is_next = wanted is not None and wanted.name != facts.stable
        if not is_next or facts.candidate is not None or facts.stable is None:
            return facts
        mine = find_place(facts.md, self._limits)
        if not mine.limits:
            return facts
        return replace(facts, turn=describe_wait(mine, self._find_others(mine.name)))

    def note(self, facts: Facts, decision: Decision) -> None:
        """Remember a rollout that has just begun, until the cache shows a newer version of it."""
        metadata = facts.metadata
        if decision.candidate is not None and facts.candidate is None:
            name = f"{metadata.namespace}/{metadata.name}"
            self._begun[name] = _Begun(metadata.resource_version, self._clock.now())

    def _find_others(self, name: str) -> list[Place]:
        found = (entry.value for entry in self._cache.entries(kinds.MODEL_DEPLOYMENT))
        mds = [md for md in found if isinstance(md, ModelDeployment)]
        self._forget_what_is_written(mds)
        places = (find_place(md, self._limits) for md in mds if not md.metadata.deletion_timestamp)
        return [
            replace(place, runs=place.runs or place.name in self._begun)
            for place in places
            if place.name != name
        ]

    def _forget_what_is_written(self, mds: Iterable[ModelDeployment]) -> None:
        """Forget each rollout whose status was written; it is written for the version read."""
        if not self._begun:
            return
        now = self._clock.now()
        versions = {
            f"{md.metadata.namespace}/{md.metadata.name}": md.metadata.resource_version
            for md in mds
        }
        for name, begun in list(self._begun.items()):
            version = versions.get(name)
            is_written = version is None or _is_newer(version, begun.version)
            if is_written or now - begun.at >= SEEN_WITHIN:
                del self._begun[name]


def _is_newer(version: str, other: str) -> bool:
    """Return whether a version is newer; the cache may be behind what a pass has read live."""
    return version.isdecimal() and other.isdecimal() and int(version) > int(other)
