"""Asks pods that fetch a model how far they are, seldom, and only while a rollout waits for them.

What they said is remembered here and nowhere else: a process that has just started asks again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import DownloadStatus
from slipway.engine.queue import Key
from slipway.policy.download import FIRST_LOOK, find_fetching_pod, measure_download, next_look_after
from slipway.policy.facts import Facts
from slipway.reconcile.ports import Clock, DownloadSource

EARLY = timedelta(seconds=1)


@dataclass(slots=True)
class _Watch:
    address: str
    began: datetime
    looked: datetime
    told: DownloadStatus | None = None


class DownloadWatcher:
    """Keeps the last word of each pod that fetches."""

    def __init__(self, downloads: DownloadSource, clock: Clock) -> None:
        self._downloads = downloads
        self._clock = clock
        self._watches: dict[Key, _Watch] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists, or fetches nothing."""
        self._watches.pop(key, None)

    async def with_download(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with how far the download is, if one is under way.

        It never raises: a pod that does not answer has no progress, and nothing waits for it.
        """
        address, now = find_fetching_pod(facts), self._clock.now()
        if address is None:
            self.forget(key)
            return facts

        watch = self._watches.get(key)
        if watch is None or watch.address != address:
            # Not asked at once: most downloads are over before anybody would read of them.
            watch = self._watches[key] = _Watch(address, now, now)
        elif _is_due(watch, now):
            watch.looked = now
            progress = await self._downloads.read(address)
            if progress is not None:
                watch.told = measure_download(progress, now)
        return replace(facts, download=watch.told)


def _is_due(watch: _Watch, now: datetime) -> bool:
    """A pass may come a little early; a clock that was set back keeps nobody from looking."""
    since = now - watch.looked
    return since >= next_look_after(now - watch.began) - EARLY or since < -FIRST_LOOK
