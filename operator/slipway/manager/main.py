"""The operator process: puts the parts together, runs them, and ends in good order.

Ends with exit code 0 when asked to by a signal, else with 1: whatever stops by itself is worth a
restart, since everything is derived anew.
"""

import argparse
import asyncio
import functools
import logging
import os
import signal
import sys
import uuid
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from slipway import __version__
from slipway.adapters.clock import SystemClock
from slipway.adapters.connection import Connection, connect
from slipway.adapters.events import KubeEvents
from slipway.adapters.hooks import Webhooks
from slipway.adapters.kube import KubeCluster
from slipway.adapters.leases import KubeLeases
from slipway.adapters.metadata import KubeMetadata
from slipway.adapters.prometheus import PrometheusServers
from slipway.adapters.router_counters import AgentCounters
from slipway.adapters.servers import TritonServers
from slipway.adapters.triton import TritonFailures
from slipway.api import kinds, names
from slipway.engine.cache import Cache
from slipway.engine.elector import Elector, LeaseTimes
from slipway.engine.queue import WorkQueue
from slipway.engine.recorder import EventRecorder
from slipway.engine.sweep import Sweep
from slipway.engine.worker import Worker
from slipway.errors import ClusterUnavailable, SettingsError
from slipway.manager import liveness, logs, wiring
from slipway.manager.feed import Feed
from slipway.manager.health import Check, HealthServer
from slipway.manager.heartbeats import Heartbeats, LoopLag
from slipway.manager.malloc_trim import keep_memory_small
from slipway.manager.metrics import Metrics
from slipway.manager.metrics.machine import Machine, MachineMetrics
from slipway.manager.metrics.models import ModelMetrics
from slipway.manager.preflight import Failures, Preflight
from slipway.manager.watch import WatchListener, run_watches, watch_names
from slipway.settings import PATH_VARIABLE, Settings, load_settings

log = logging.getLogger(__name__)

DEFAULT_SETTINGS = "/etc/slipway/settings.yaml"
LEASE_NAME = "slipway-operator"
DRAIN_SECONDS = 5.0
"""For passes under way, when the process is asked to end."""
END_SECONDS = 10.0
"""For everything else to end."""


class Operator:
    """One replica."""

    def __init__(
        self, settings: Settings, connection: Connection, *, instance: str, port: int
    ) -> None:
        """`instance` is the pod's name; `port` serves health and metrics."""
        self._settings = settings
        self._stop = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._cache = Cache()
        self._queue = WorkQueue()
        self._metadata = KubeMetadata(connection)
        self._connection = connection
        self._counters = AgentCounters()
        self._servers = TritonServers()
        self._prometheus = PrometheusServers(settings.prometheus)
        self._failures = TritonFailures()
        self._elector = self._make_elector(instance)
        self._hooks = Webhooks(
            settings.hooks.allowed_hosts,
            ca_file=settings.hooks.ca_file,
            fence=self._elector.ensure_may_write,
        )
        self._events = EventRecorder(
            KubeEvents(connection, fence=self._elector.ensure_may_write, instance=instance)
        )
        self._feed = Feed(
            self._cache,
            self._queue,
            project=wiring.project_object,
            rollouts=functools.partial(wiring.rollout_keys, self._cache),
        )
        self._sweep = Sweep(
            self._cache,
            self._metadata,
            kinds.WATCHED,
            namespaces=settings.watch_namespaces,
            on_ghost=self._feed.ghost,
        )
        self._pulses = Heartbeats(watch_names(settings.watch_namespaces))
        self._namespaces = tuple(settings.watch_namespaces)
        self._preflight = Preflight(self._metadata, kinds.WATCHED, self._namespaces)
        self._machine = Machine(
            self._queue,
            self._cache,
            self._feed,
            self._sweep,
            self._elector,
            self._events,
            self._pulses,
            LoopLag(),
        )
        self._metrics = Metrics(
            (
                MachineMetrics(self._machine),
                ModelMetrics(self._cache, self._elector.leading.is_set),
            )
        )
        connection.answered = self._metrics.answered
        self._worker = Worker(
            self._queue,
            wiring.build_reconcilers(self._make_parts()),
            gate=self._elector.leading.wait,
            observer=self._metrics,
        )
        self._health = self._make_health(port)

    async def run(self) -> int:
        """Run until asked to end, or until a part ends by itself; return the exit code."""
        loop = asyncio.get_running_loop()
        self._catch_signals()
        asked = loop.create_task(self._stop.wait(), name="signals")
        await self._health.start()
        ready = loop.create_task(self._preflight.wait(), name="preflight")
        await asyncio.wait({asked, ready}, return_when=asyncio.FIRST_COMPLETED)
        tasks: set[asyncio.Task[Any]] = {ready}
        if not self._stop.is_set() and ready.exception() is None:
            tasks = self._start(ready.result())
            await asyncio.wait({asked, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        return await self._end(tasks | {asked}, was_asked=self._stop.is_set())

    def _start(self, missing: Failures) -> set[asyncio.Task[Any]]:
        # kopf cancels what is created after it when it ends, so all else is created before
        parts: list[tuple[str, Coroutine[Any, Any, None]]] = [
            ("sweep", self._sweep.run()),
            ("election", self._stand_for_election()),
            ("heartbeat", self._machine.lag.run()),
            ("memory", keep_memory_small(self._sweep.synced)),
        ]
        parts += [(f"worker {n}", self._worker.serve()) for n in range(self._settings.workers)]
        if missing:
            self._leave_out(missing)
            parts.append(("start without some namespaces", self._preflight.until_back(missing)))
        tasks = {asyncio.create_task(part, name=name) for name, part in parts}
        self._watch = asyncio.create_task(self._run_watch(), name="watch")
        return tasks | {self._watch}

    def _leave_out(self, missing: Failures) -> None:
        gone = {namespace for _, namespace in missing if namespace is not None}
        self._namespaces = tuple(name for name in self._namespaces if name not in gone)
        self._sweep.leave_out(missing)
        self._pulses.forget(watch_names(tuple(gone)))

    async def _stand_for_election(self) -> None:
        await self._sweep.synced.wait()
        await self._elector.run()

    async def _run_watch(self) -> None:
        await run_watches(
            self._connection,
            WatchListener(self._feed.seen, self._feed.gone, self._sweep.request, self._pulses.beat),
            namespaces=self._namespaces,
            stop=self._stop,
            on_started=self._catch_signals,
        )

    async def _end(self, tasks: set[asyncio.Task[Any]], *, was_asked: bool) -> int:
        for task in tasks:
            if task.done() and not task.cancelled() and not self._stop.is_set():
                log.error("%s ended", task.get_name(), exc_info=task.exception())
        self._stop.set()
        self._elector.leading.clear()
        await self._worker.drain(DRAIN_SECONDS)
        await self._elector.release()
        for task in tasks - {self._watch}:
            task.cancel()
        await asyncio.wait(tasks, timeout=END_SECONDS)
        await self._health.stop()
        for source in (
            self._counters,
            self._servers,
            self._prometheus,
            self._failures,
            self._hooks,
        ):
            await source.close()
        await self._connection.close()
        log.info("ended", extra={"asked": was_asked})
        return 0 if was_asked else 1

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _make_elector(self, instance: str) -> Elector:
        lease = self._settings.lease
        store = KubeLeases(
            self._connection,
            namespace=self._settings.namespace,
            name=LEASE_NAME,
            timeout_seconds=min(3.0, lease.duration_seconds / 4),
        )
        return Elector(
            store,
            identity=f"{instance}_{uuid.uuid4()}",
            times=LeaseTimes(
                lease.duration_seconds, lease.renew_seconds, lease.write_window_seconds
            ),
        )

    def _make_parts(self) -> wiring.Parts:
        return wiring.Parts(
            settings=self._settings,
            cluster=KubeCluster(
                self._connection,
                fence=self._elector.ensure_may_write,
                on_written=self._feed.written,
            ),
            counters=self._counters,
            servers=self._servers,
            metrics=self._prometheus,
            failures=self._failures,
            hooks=self._hooks,
            recorder=self._events,
            clock=SystemClock(),
            cache=self._cache,
            epoch=lambda: self._elector.epoch,
            wake=self._queue.add,
        )

    def _make_health(self, port: int) -> HealthServer:
        return HealthServer(
            port=port,
            alive=liveness.liveness_checks(
                self._machine, lambda: self._watch is None or not self._watch.done()
            ),
            ready=(Check("the cache is filled", self._sweep.synced.is_set),),
            metrics=self._metrics.expose,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(Path(options.settings))
        logs.configure_logging(settings.log_level)
        return asyncio.run(_run(settings, options))
    except (SettingsError, ClusterUnavailable) as error:
        sys.stderr.write(f"slipway manager: {error}\n")
        return 1


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    kubeconfig = Path(options.kubeconfig) if options.kubeconfig else None
    connection = await connect(kubeconfig, user_agent=f"{LEASE_NAME}/{__version__}")
    instance = os.environ.get("POD_NAME") or os.uname().nodename
    return await Operator(settings, connection, instance=instance, port=options.port).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slipway manager", description="Run the operator.")
    parser.add_argument(
        "--settings",
        default=os.environ.get(PATH_VARIABLE, DEFAULT_SETTINGS),
        help=f"settings file (default: ${PATH_VARIABLE}, else {DEFAULT_SETTINGS})",
    )
    parser.add_argument(
        "--kubeconfig",
        default=os.environ.get("KUBECONFIG"),
        help="outside a cluster (default: $KUBECONFIG, else the pod's service account)",
    )
    parser.add_argument(
        "--port", type=int, default=names.OPERATOR_PORT, help="of health and metrics"
    )
    return parser
