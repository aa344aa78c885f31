"""Where the machinery meets the domain: what is kept of an object, and who runs its passes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from slipway.api import kinds
from slipway.api.modeldeployment import ModelDeployment
from slipway.engine.cache import Cache
from slipway.engine.queue import Key
from slipway.engine.worker import Reconcile
from slipway.errors import SettingsError
from slipway.manager.feed import MODEL_DEPLOYMENT, ROUTER
from slipway.reconcile.ask_sources import Sources
from slipway.reconcile.ports import (
    Clock,
    Cluster,
    CounterSource,
    FailureSource,
    HookSource,
    MetricSource,
    Recorder,
    ServerSource,
)
from slipway.reconcile.projections import project_object
from slipway.reconcile.reconcile import Outside, Reconciler
from slipway.reconcile.router import RouterReconciler
from slipway.settings import Settings

__all__ = ["Parts", "build_reconcilers", "project_object", "rollout_keys"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the machinery lends to the passes."""

    settings: Settings
    cluster: Cluster
    counters: CounterSource
    servers: ServerSource
    metrics: MetricSource
    failures: FailureSource
    hooks: HookSource
    recorder: Recorder
    clock: Clock
    cache: Cache
    epoch: Callable[[], str]
    """Name of the present leadership; another one after each change of leader."""
    wake: Callable[[Key], None]
    """Ask for a pass of another key."""


def rollout_keys(cache: Cache, namespace: str) -> Iterable[Key]:
    """Return the ModelDeployments of a namespace that have a rollout under way."""
    for found in cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment):
        if found.status.rollout is not None:
            yield Key(MODEL_DEPLOYMENT, namespace, found.metadata.name)


def _require(settings: Settings) -> None:
    missing = [
        name
        for name, value in (
            ("operatorImage", settings.operator_image),
            ("router.envoyImage", settings.router.envoy_image),
        )
        if not value
    ]
    if missing:
        raise SettingsError(f"settings {' and '.join(missing)}: found nothing, expected an image")


def build_reconcilers(parts: Parts) -> Mapping[str, Reconcile]:
    """Return who runs the passes, by kind of key."""
    _require(parts.settings)
    routers = RouterReconciler(
        parts.cache, parts.cluster, parts.clock, parts.settings, wake=parts.wake
    )
    outside = Outside(
        cluster=parts.cluster,
        counters=parts.counters,
        servers=parts.servers,
        sources=Sources(parts.metrics, parts.failures, tuple(parts.settings.prometheus)),
        hooks=parts.hooks,
        recorder=parts.recorder,
        clock=parts.clock,
        epoch=parts.epoch,
        router_problem=routers.problem,
    )
    models = Reconciler(parts.cache, outside, parts.settings)
    return {MODEL_DEPLOYMENT: models.reconcile, ROUTER: routers.reconcile}
