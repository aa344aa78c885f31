"""Reads what pods hold from metrics.k8s.io, where the cluster serves it: metrics-server, mostly.

It is a source of its own beside the routers. Triton's page has the memory of its node and of its
whole GPU only, which other pods fill too. A cluster without metrics, or one that grants no right to
them, is as good as none: nothing is judged, and nothing waits for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.reasons import Reason, Why
from slipway.api.times import from_wire
from slipway.errors import SlipwayError
from slipway.policy.analysis.inputs import MemoryReading, MemoryUse
from slipway.policy.analysis.metrics.memory_rise import MOST_BYTES
from slipway.policy.analysis.study import Study
from slipway.policy.canonical_input import whole_number
from slipway.reconcile.ports import Clock, Cluster
from slipway.render.triton import CONTAINER

SECONDS = 1.0
"""For which an answer is waited for."""
ASKED_EVERY = timedelta(seconds=15)
"""metrics-server measures no more often."""
SILENT_FOR = timedelta(minutes=1)
"""After no answer."""
MOST_REMEMBERED = 1024
UNREAD = Why(Reason.METRICS_UNAVAILABLE, "metrics.k8s.io does not say what pods hold")


class MemoryReader:
    """Asks for the pods of one rollout at a time, and not at every look."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._last: dict[str, tuple[datetime, MemoryUse | Why]] = {}
        """By candidate: when it was asked next at the earliest, and the answer."""

    async def read(self, study: Study) -> MemoryUse | Why:
        """Return what both revisions' pods hold, as it was told at most 15 s ago."""
        arm, now = study.arms.candidate, self._clock.now()
        key = f"{arm.namespace}/{arm.name}/{arm.revision}"
        due, known = self._last.get(key, (now, UNREAD))
        if now < due:
            return known

        found = await self._ask(study)
        silence = SILENT_FOR if isinstance(found, Why) else ASKED_EVERY
        self._last[key] = now + silence, found
        while len(self._last) > MOST_REMEMBERED:
            del self._last[next(iter(self._last))]
        return found

    async def _ask(self, study: Study) -> MemoryUse | Why:
        arm = study.arms.candidate
        try:
            async with asyncio.timeout(SECONDS):
                items = await self._cluster.list(
                    kinds.POD_METRICS, arm.namespace, {names.LABEL_OWNER: arm.name}
                )
        except (SlipwayError, TimeoutError):
            return UNREAD
        held = read_pod_metrics(items)
        candidate, stable = (
            {pod: held[pod] for pod in _names_of(study, revision) if pod in held}
            for revision in (study.plan.candidate, study.plan.stable)
        )
        return MemoryUse(candidate, stable) if candidate else UNREAD


def _names_of(study: Study, revision: str) -> list[str]:
    return [pod.meta.name for pod in study.facts.pods.get(revision, ()) if pod.ready]


def read_pod_metrics(items: Sequence[Manifest]) -> Mapping[str, MemoryReading]:
    """Return what the servers' containers hold, by pod; what is not sound is left out."""
    read = ((_name_of(item), _read_pod(item)) for item in items)
    return {name: held for name, held in read if name is not None and held is not None}


def _name_of(item: Manifest) -> str | None:
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def _read_pod(item: Manifest) -> MemoryReading | None:
    moment, containers = _moment_of(item), item.get("containers")
    if moment is None or not isinstance(containers, list):
        return None
    for container in containers:
        if isinstance(container, dict) and container.get("name") == CONTAINER:
            usage = container.get("usage")
            text = usage.get("memory") if isinstance(usage, dict) else None
            held = whole_number(text) if isinstance(text, str) else None
            if held is None or not 0 <= held <= MOST_BYTES:
                return None
            return MemoryReading(held, moment)
    return None


def _moment_of(item: Manifest) -> datetime | None:
    text = item.get("timestamp")
    try:
        moment = from_wire(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
