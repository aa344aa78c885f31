"""Wires one replica together: an adapter for each port, a reconciler for each kind of key."""

import functools
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from slipway.adapters.audit_sinks import AuditSinks
from slipway.adapters.clock import SystemClock
from slipway.adapters.connection import Connection
from slipway.adapters.events import KubeEvents
from slipway.adapters.fetching_pods import FetchingPods
from slipway.adapters.hooks import Webhooks
from slipway.adapters.kube import KubeCluster
from slipway.adapters.leases import KubeLeases
from slipway.adapters.metadata import KubeMetadata
from slipway.adapters.prometheus import PrometheusServers
from slipway.adapters.router_counters import AgentCounters
from slipway.adapters.router_pairs import AgentPairs
from slipway.adapters.triton import TritonMetrics
from slipway.api import kinds
from slipway.api.modeldeployment import ModelDeployment
from slipway.engine.cache import Cache
from slipway.engine.elector import Elector, LeaseTimes
from slipway.engine.queue import Key, WorkQueue
from slipway.engine.quiet_lease import QuietLeases
from slipway.engine.recorder import EventRecorder
from slipway.engine.sweep import Sweep
from slipway.engine.worker import Reconcile, Worker
from slipway.errors import SettingsError
from slipway.manager.feed import MODEL_DEPLOYMENT, ROUTER, Feed
from slipway.manager.heartbeats import Heartbeats, LoopLag
from slipway.manager.metrics import Metrics
from slipway.manager.metrics.audit import AuditMetrics
from slipway.manager.metrics.durations import DurationMetrics
from slipway.manager.metrics.machine import Machine, MachineMetrics
from slipway.manager.metrics.models import ModelMetrics
from slipway.manager.preflight import Preflight
from slipway.manager.watch import watch_names
from slipway.reconcile.ports import Ports
from slipway.reconcile.projections import project_object
from slipway.reconcile.reconciler import Reconciler
from slipway.reconcile.router import RouterReconciler
from slipway.settings import Settings

LEASE_NAME = "slipway-operator"
LONGEST_LEASE_REQUEST_SECONDS = 3.0


class Closable(Protocol):
    """Holds connections until it is closed."""

    async def close(self) -> None:
        """Close them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one replica, wired together; nothing runs yet."""

    settings: Settings
    connection: Connection
    machine: Machine
    preflight: Preflight
    worker: Worker
    metrics: Metrics
    audit: AuditSinks
    sources: tuple[Closable, ...]
    """What talks to anything but the API server."""


def build(settings: Settings, connection: Connection, *, instance: str) -> Parts:
    """Make the parts of one replica; `instance` is the pod's name.

    Raises:
        SettingsError: a setting that a running operator needs is missing.

    """
    cache, queue = Cache(), WorkQueue()
    metadata = KubeMetadata(connection)
    elector = _build_elector(settings, connection, instance)
    recorder = EventRecorder(
        KubeEvents(connection, fence=elector.ensure_may_write, instance=instance)
    )

    # what sees the cluster
    namespaces = settings.watch_namespaces
    rollouts = functools.partial(rollout_keys, cache)
    feed = Feed(cache, queue, project=project_object, rollouts=rollouts)
    sweep = Sweep(cache, metadata, kinds.WATCHED, namespaces=namespaces, on_ghost=feed.forget)
    heartbeats = Heartbeats(watch_names(namespaces))

    # what reports on this process
    machine = Machine(queue, cache, feed, sweep, elector, recorder, heartbeats, LoopLag())
    audit = AuditSinks(settings.audit)
    models = ModelMetrics(cache, elector.leading.is_set)
    durations = DurationMetrics()
    metrics = Metrics((MachineMetrics(machine), models, AuditMetrics(audit), durations))
    connection.answered = metrics.answered

    # what runs the passes
    ports, sources = _build_ports(settings, connection, machine, audit, durations)
    reconcilers = build_reconcilers(settings, ports, cache, wake=queue.add)
    worker = Worker(queue, reconcilers, gate=elector.leading.wait, observer=metrics)

    preflight = Preflight(metadata, kinds.WATCHED, namespaces)
    return Parts(settings, connection, machine, preflight, worker, metrics, audit, sources)


def build_reconcilers(
    settings: Settings, ports: Ports, cache: Cache, *, wake: Callable[[Key], None]
) -> Mapping[str, Reconcile]:
    """Return what reconciles each kind of key; `wake` asks for a pass of another key."""
    _require_images(settings)
    routers = RouterReconciler(cache, ports.cluster, ports.clock, settings, wake=wake)
    models = Reconciler(
        cache,
        ports,
        settings,
        router_problem=routers.problem_of,
        runs_newest_agent=routers.runs_newest_agent,
        is_walled=routers.is_walled,
    )
    return {MODEL_DEPLOYMENT: models.reconcile, ROUTER: routers.reconcile}


def rollout_keys(cache: Cache, namespace: str) -> Iterable[Key]:
    """Return the ModelDeployments of a namespace that have a rollout under way."""
    for found in cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment):
        if found.status.rollout is not None:
            yield Key(MODEL_DEPLOYMENT, namespace, found.metadata.name)


def _build_ports(
    settings: Settings,
    connection: Connection,
    machine: Machine,
    audit: AuditSinks,
    durations: DurationMetrics,
) -> tuple[Ports, tuple[Closable, ...]]:
    """Return what passes talk to, and of it what is to be closed at the end."""
    fence = machine.elector.ensure_may_write
    counters, downloads, pairs = AgentCounters(), FetchingPods(), AgentPairs()
    triton = TritonMetrics()
    prometheus = PrometheusServers(settings.prometheus)
    hooks = Webhooks(settings.hooks.allowed_hosts, ca_file=settings.hooks.ca_file, fence=fence)

    ports = Ports(
        cluster=KubeCluster(connection, fence=fence, on_written=machine.feed.on_written),
        counters=counters,
        downloads=downloads,
        pairs=pairs,
        servers=triton,
        metrics=prometheus,
        failures=triton,
        hooks=hooks,
        recorder=machine.events,
        audit=audit,
        durations=durations,
        clock=SystemClock(),
        epoch=lambda: machine.elector.epoch,
    )
    return ports, (counters, downloads, pairs, triton, prometheus, hooks, audit)


def _build_elector(settings: Settings, connection: Connection, instance: str) -> Elector:
    lease = settings.lease
    store = KubeLeases(
        connection,
        namespace=settings.namespace,
        name=LEASE_NAME,
        timeout_seconds=min(LONGEST_LEASE_REQUEST_SECONDS, lease.duration_seconds / 4),
    )
    times = LeaseTimes(lease.duration_seconds, lease.renew_seconds, lease.write_window_seconds)
    held = QuietLeases(store) if lease.single_replica else store
    return Elector(held, identity=f"{instance}_{uuid.uuid4()}", times=times)


def _require_images(settings: Settings) -> None:
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
