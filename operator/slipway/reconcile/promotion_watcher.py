"""Watches promoted revisions by the routers' counters, once a minute, as long as the spec says.

What was counted is remembered here and nowhere else: a process that has just started begins anew.
What a revision was in its rollout, and what became worse, lies in the status.
"""

from dataclasses import replace

from slipway.api.modeldeployment import AfterPromotionStatus
from slipway.api.reasons import Why
from slipway.engine.queue import Key
from slipway.policy.facts import Facts
from slipway.policy.promotion_watch import (
    PromotionWatch,
    begin_watch,
    find_worsening,
    look_again,
)
from slipway.policy.rollout.after_promotion import LOOK_EVERY, watched_level
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import Clock
from slipway.reconcile.read_counters import CountersByPod, RouterCounters


class PromotionWatcher:
    """Looks at revisions that were promoted, and at no other."""

    def __init__(self, counters: RouterCounters, clock: Clock, guard: Guard) -> None:
        self._counters = counters
        self._clock = clock
        self._guard = guard
        self._watches: dict[Key, PromotionWatch] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists, or is not watched."""
        self._watches.pop(key, None)

    async def with_worsening(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with what became worse since the promotion, if anything did.

        It never raises: what cannot be read is not looked at.
        """
        now = self._clock.now()
        level = watched_level(facts, now)
        if level is None:
            self.forget(key)
            return facts

        watch = self._watches.get(key)
        if watch is None or watch.revision != level.revision or now - watch.now.at >= LOOK_EVERY:
            pods = [pod for pod in facts.proxies if pod.ready]
            watch = self._look(key, facts, level, await self._counters.read_recent(pods))
        if watch is None:
            return facts
        return replace(facts, worsening=find_worsening(watch, level))

    def _look(
        self, key: Key, facts: Facts, level: AfterPromotionStatus, answers: CountersByPod
    ) -> PromotionWatch | None:
        known, now, name = self._watches.get(key), self._clock.now(), facts.metadata.name
        heard = list(answers.values())

        def look() -> PromotionWatch:
            if known is None or known.revision != level.revision:
                return begin_watch(level, heard, name, now)
            return look_again(known, level, heard, name, now)

        what = f"watch what {facts.metadata.namespace}/{name} promoted"
        watch = self._guard.compute(what, look)
        if isinstance(watch, Why):
            self.forget(key)
            return None
        self._watches[key] = watch
        return watch
