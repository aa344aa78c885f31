"""Reads the pairs of answers that routers counted, while a candidate answers copies."""

import asyncio
from dataclasses import replace
from datetime import datetime

from slipway.api.pairs import Pairs
from slipway.api.reasons import Why
from slipway.engine.queue import Key
from slipway.policy.analysis.pairs.look import look_at_pairs, needs_pairs
from slipway.policy.facts import Facts
from slipway.policy.shadow.counts import PairsMemory
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import PairSource


class PairsReader:
    """Reads the router pods of one object and says what their pairs show."""

    def __init__(self, source: PairSource, guard: Guard) -> None:
        self._source = source
        self._guard = guard
        self._seen: dict[Key, tuple[str, PairsMemory]] = {}
        """Of rollouts that compare answers now, told apart by candidate and start."""

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists, or compares nothing."""
        self._seen.pop(key, None)

    async def with_pairs(self, key: Key, facts: Facts, now: datetime) -> Facts:
        """Return the facts with the pairs, and the judgements on them.

        It never raises: what cannot be read or judged is no data, and nobody is blamed for it.
        """
        if not needs_pairs(facts):
            self.forget(key)
            return facts
        ready = [pod for pod in facts.proxies if pod.ready and pod.address is not None]
        pages = await asyncio.gather(*(self._read(pod.address or "") for pod in ready))
        rollout = facts.status.rollout
        which = f"{facts.candidate} {rollout.started_at if rollout is not None else ''}"
        known, memory = self._seen.get(key, ("", None))
        seen = memory if known == which else None
        finding = self._guard.compute(
            f"judge the pairs of {key}", lambda: look_at_pairs(facts, pages, now, seen)
        )
        if isinstance(finding, Why):
            return facts
        if finding.memory is not None:
            self._seen[key] = (which, finding.memory)
        judgements = finding.judgements or facts.judgements
        return replace(facts, pairs=finding, judgements=judgements)

    async def _read(self, address: str) -> Pairs | None:
        answer = await self._guard.ask(
            f"read the pairs of the router at {address}", lambda: self._source.read(address)
        )
        return answer if isinstance(answer, Pairs) else None
