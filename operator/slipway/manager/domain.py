"""Where the machinery meets the domain: what is kept of an object, and who runs its passes."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.cache import Cache
from slipway.engine.queue import Key
from slipway.engine.worker import Pass
from slipway.manager.feed import MODEL_DEPLOYMENT, ROUTER
from slipway.reconcile.ports import Clock, Cluster, Recorder
from slipway.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the machinery lends to the passes."""

    settings: Settings
    cluster: Cluster
    recorder: Recorder
    clock: Clock
    cache: Cache
    epoch: Callable[[], str]
    """Name of the present leadership; another one after each change of leader."""
    wake: Callable[[Key], None]
    """Ask for a pass of another key."""


def project(kind: Kind, manifest: Manifest) -> object:
    """Return the small immutable value that is kept of an object; None: of no interest."""
    return kind.kind, manifest["metadata"]["resourceVersion"]


def rollouts(_cache: Cache, _namespace: str) -> Iterable[Key]:
    """Return the ModelDeployments of a namespace that have a rollout under way."""
    return ()


def passes(_parts: Parts) -> Mapping[str, Pass]:
    """Return who runs the passes, by kind of key."""

    async def look(key: Key) -> float | None:
        log.debug("nothing to do yet", extra={"key": str(key)})
        return None

    return {MODEL_DEPLOYMENT: look, ROUTER: look}
