"""From what the watches say to which keys want a pass. Decides nothing, never raises."""

import logging
from collections.abc import Callable, Iterable

from slipway.adapters.metadata import ref_of
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.cache import Cache, Ref
from slipway.engine.queue import Key, WorkQueue

log = logging.getLogger(__name__)

MODEL_DEPLOYMENT = kinds.MODEL_DEPLOYMENT.kind
ROUTER = "Router"
"""Kind of the key of a namespace's router; such a key has no name."""

Project = Callable[[Kind, Manifest], object]
"""Object → the small immutable value that passes read; None: of no interest."""
Rollouts = Callable[[str], Iterable[Key]]
"""Namespace → keys of the ModelDeployments there that have a rollout under way."""


class Feed:
    """Stores projections and wakes the keys that a change concerns."""

    def __init__(
        self, cache: Cache, queue: WorkQueue, *, project: Project, rollouts: Rollouts
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._project = project
        self._rollouts = rollouts
        self.events = 0
        """Events seen since the start."""

    def seen(self, kind: Kind, manifest: Manifest) -> None:
        """Take note of an object that exists."""
        self.events += 1
        try:
            self._seen(kind, ref_of(kind, manifest), manifest)
        except Exception:
            log.exception("event not understood", extra={"kind": kind.kind})

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        """Take note of an object that was deleted."""
        self.events += 1
        try:
            self.ghost(ref_of(kind, manifest))
        except Exception:
            log.exception("deletion not understood", extra={"kind": kind.kind})

    def ghost(self, ref: Ref) -> None:
        """Forget an object that exists no more, and wake those that it concerned."""
        removed = self._cache.remove(ref)
        if removed is None:
            return
        self._wake(removed.ref, removed.wakes)
        if ref.kind == kinds.MODEL_DEPLOYMENT:
            self._queue.add(Key(ROUTER, ref.namespace, ""))

    def written(self, kind: Kind, manifest: Manifest) -> None:
        """Take note of the answer to a write, which is ahead of the watch."""
        if kind in kinds.WATCHED:
            self.seen(kind, manifest)

    def _seen(self, kind: Kind, ref: Ref, manifest: Manifest) -> None:
        known = self._cache.entry(kind, ref.namespace, ref.name)
        if known is not None and known.ref == ref and ref.version:
            return  # the watch tells what the answer to our own write told
        wakes = _concerns(ref, manifest["metadata"].get("labels") or {})
        if self._cache.store(ref, self._projection(kind, ref, manifest), wakes):
            self._wake(ref, wakes)
        if kind == kinds.MODEL_DEPLOYMENT and (
            known is None or known.ref.generation != ref.generation
        ):
            self._queue.add(Key(ROUTER, ref.namespace, ""))

    def _projection(self, kind: Kind, ref: Ref, manifest: Manifest) -> object:
        try:
            return self._project(kind, manifest)
        except Exception:
            log.exception(
                "projection failed",
                extra={"key": f"{kind.kind}/{ref.namespace}/{ref.name}"},
            )
            return None

    def _wake(self, ref: Ref, wakes: Iterable[Key]) -> None:
        for key in wakes:
            self._queue.add(key)
            if key.kind == ROUTER and ref.kind == kinds.POD:
                for rollout in self._rollouts(ref.namespace):
                    self._queue.add(rollout)


def _concerns(ref: Ref, labels: dict[str, str]) -> tuple[Key, ...]:
    if ref.kind in (kinds.MODEL_DEPLOYMENT, kinds.MODEL_ROUTE):
        return (Key(MODEL_DEPLOYMENT, ref.namespace, ref.name),)
    owner = labels.get(names.LABEL_OWNER)
    if owner:
        return (Key(MODEL_DEPLOYMENT, ref.namespace, owner),)
    is_router = labels.get(names.LABEL_COMPONENT) == names.COMPONENT_ROUTER
    if is_router or (ref.kind == kinds.SERVICE_ACCOUNT and ref.name == names.ROUTER_NAME):
        return (Key(ROUTER, ref.namespace, ""),)
    return ()
