"""The feed: turns what the watches see into keys that are due for a pass.

It decides nothing and never raises.
"""

import logging
from collections.abc import Callable, Iterable

from slipway.adapters.metadata import ref_of
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.cache import Cache, Ref
from slipway.engine.queue import Key, WorkQueue
from slipway.policy.facts import RouteFact

log = logging.getLogger(__name__)

MODEL_DEPLOYMENT = kinds.MODEL_DEPLOYMENT.kind
ROUTER = "Router"
"""Kind of the key of a namespace's router; such a key has no name."""

Projection = Callable[[Kind, Manifest], object]
"""Object → the small immutable value that passes read; None: nothing of it is kept."""
RolloutKeys = Callable[[str], Iterable[Key]]
"""Namespace → keys of the ModelDeployments there that have a rollout under way."""


class Feed:
    """Stores projections and queues the keys that a change concerns."""

    def __init__(
        self, cache: Cache, queue: WorkQueue, *, project: Projection, rollouts: RolloutKeys
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._project = project
        self._rollouts = rollouts
        self.events = 0
        """Events since the start."""

    def on_seen(self, kind: Kind, manifest: Manifest) -> None:
        """Store an object that exists."""
        self.events += 1
        try:
            self._store(kind, ref_of(kind, manifest), manifest)
        except Exception:
            log.exception("event not understood", extra={"kind": kind.kind})

    def on_gone(self, kind: Kind, manifest: Manifest) -> None:
        """Forget an object that was deleted."""
        self.events += 1
        try:
            self.forget(ref_of(kind, manifest))
        except Exception:
            log.exception("deletion not understood", extra={"kind": kind.kind})

    def on_written(self, kind: Kind, manifest: Manifest) -> None:
        """Store the answer to one of our writes, which arrives before the watch's event."""
        if kind in kinds.WATCHED:
            self.on_seen(kind, manifest)

    def forget(self, ref: Ref) -> None:
        """Forget an object that no longer exists, and queue the keys that it concerned."""
        removed = self._cache.remove(ref)
        if removed is None:
            return

        self._queue_all(removed.ref, removed.wakes)
        if ref.kind == kinds.MODEL_DEPLOYMENT:
            self._queue.add(Key(ROUTER, ref.namespace, ""))

    def _store(self, kind: Kind, ref: Ref, manifest: Manifest) -> None:
        known = self._cache.entry(kind, ref.namespace, ref.name)
        if known is not None and known.ref == ref and ref.version:
            return  # the watch repeats the answer to our own write

        wakes = _concerned_keys(ref, manifest["metadata"].get("labels") or {})
        found = self._projection_of(kind, ref, manifest)
        if self._cache.store(ref, found, wakes):
            self._queue_all(ref, wakes)

        # What a router is asked for may need another one.
        is_new_generation = known is None or known.ref.generation != ref.generation
        orders_copies = isinstance(found, RouteFact) and found.shadow is not None
        if is_new_generation and (kind == kinds.MODEL_DEPLOYMENT or orders_copies):
            self._queue.add(Key(ROUTER, ref.namespace, ""))

    def _projection_of(self, kind: Kind, ref: Ref, manifest: Manifest) -> object:
        try:
            return self._project(kind, manifest)
        except Exception:
            log.exception(
                "projection failed",
                extra={"key": f"{kind.kind}/{ref.namespace}/{ref.name}"},
            )
            return None

    def _queue_all(self, ref: Ref, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)
            if key.kind == ROUTER and ref.kind == kinds.POD:
                # rollouts wait for the proxies in these pods
                for rollout in self._rollouts(ref.namespace):
                    self._queue.add(rollout)


def _concerned_keys(ref: Ref, labels: dict[str, str]) -> tuple[Key, ...]:
    if ref.kind in (kinds.MODEL_DEPLOYMENT, kinds.MODEL_ROUTE):
        return (Key(MODEL_DEPLOYMENT, ref.namespace, ref.name),)

    owner = labels.get(names.LABEL_OWNER)
    if owner:
        return (Key(MODEL_DEPLOYMENT, ref.namespace, owner),)

    is_router = labels.get(names.LABEL_COMPONENT) == names.COMPONENT_ROUTER
    if is_router or (ref.kind == kinds.SERVICE_ACCOUNT and ref.name == names.ROUTER_NAME):
        return (Key(ROUTER, ref.namespace, ""),)
    return ()
