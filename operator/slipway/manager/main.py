"""The operator process: runs the parts, and ends them in order.

It ends with exit code 0 when a signal asks it to, else with 1: a part that ends by itself is worth
a restart, because a new process rebuilds all of its state from the cluster.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from slipway import __version__
from slipway.adapters.connection import connect
from slipway.api import names
from slipway.errors import ClusterUnavailable, SettingsError
from slipway.manager import logs
from slipway.manager.health_server import Check, HealthServer
from slipway.manager.liveness import liveness_checks
from slipway.manager.malloc_trim import keep_memory_small
from slipway.manager.preflight import Failures
from slipway.manager.watch import run_watches, watch_names
from slipway.manager.watch_listener import WatchListener
from slipway.manager.wiring import LEASE_NAME, Parts, build
from slipway.settings import PATH_VARIABLE, Settings, load_settings

log = logging.getLogger(__name__)

DEFAULT_SETTINGS = "/etc/slipway/settings.yaml"
DRAIN_SECONDS = 5.0
"""For passes under way, when the process is asked to end."""
FLUSH_SECONDS = 3.0
"""For sinks to take what they have not been sent yet; the next leader tells most of it again."""
END_SECONDS = 10.0
"""For everything else to end."""


class Operator:
    """Runs the parts of one replica until a signal, or until one of them ends."""

    def __init__(self, parts: Parts, *, port: int) -> None:
        """`port` serves health and metrics."""
        self._parts = parts
        self._machine = parts.machine
        self._namespaces = tuple(parts.settings.watch_namespaces)
        self._stop = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._health = HealthServer(
            port=port,
            alive=liveness_checks(
                parts.machine,
                self._watches_run,
                lambda: parts.connection.has_newest_authorities,
            ),
            ready=(Check("the cache is filled", parts.machine.sweep.synced.is_set),),
            metrics=parts.metrics.expose,
        )

    async def run(self) -> int:
        """Run until a signal, or until a part ends by itself; return the exit code."""
        loop = asyncio.get_running_loop()
        self._catch_signals()
        stop = loop.create_task(self._stop.wait(), name="signals")
        await self._health.start()

        # nothing is watched or written before the preflight has passed; probes are answered
        preflight = loop.create_task(self._parts.preflight.wait(), name="preflight")
        await asyncio.wait({stop, preflight}, return_when=asyncio.FIRST_COMPLETED)

        tasks: set[asyncio.Task[Any]] = {preflight}
        if not self._stop.is_set() and preflight.exception() is None:
            tasks = self._start(preflight.result())
            await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)

        return await self._end(tasks | {stop}, was_asked=self._stop.is_set())

    def _start(self, failures: Failures) -> set[asyncio.Task[Any]]:
        machine, worker = self._machine, self._parts.worker
        jobs: list[tuple[str, Coroutine[Any, Any, None]]] = [
            ("sweep", machine.sweep.run()),
            ("election", self._stand_for_election()),
            ("heartbeat", machine.lag.run()),
            ("memory", keep_memory_small(machine.sweep.synced)),
        ]
        jobs += [(f"worker {n}", worker.serve()) for n in range(self._parts.settings.workers)]
        if self._parts.audit.is_on:
            jobs.append(("audit sinks", self._parts.audit.run()))
        if failures:
            self._leave_out(failures)
            returned = self._parts.preflight.until_back(failures)
            jobs.append(("start without some namespaces", returned))

        # the watch is last: when kopf ends, it cancels the tasks that were created after it
        tasks = {asyncio.create_task(job, name=name) for name, job in jobs}
        self._watch = asyncio.create_task(self._run_watches(), name="watch")
        return tasks | {self._watch}

    def _leave_out(self, failures: Failures) -> None:
        gone = {namespace for _, namespace in failures if namespace is not None}
        self._namespaces = tuple(name for name in self._namespaces if name not in gone)
        self._machine.sweep.leave_out(failures)
        self._machine.heartbeats.forget(watch_names(tuple(gone)))

    async def _stand_for_election(self) -> None:
        await self._machine.sweep.synced.wait()
        await self._machine.elector.run()

    async def _run_watches(self) -> None:
        machine = self._machine
        await run_watches(
            self._parts.connection,
            WatchListener(
                on_seen=machine.feed.on_seen,
                on_gone=machine.feed.on_gone,
                on_listed=machine.sweep.request,
                on_alive=machine.heartbeats.beat,
            ),
            namespaces=self._namespaces,
            stop=self._stop,
            on_started=self._catch_signals,
        )

    def _watches_run(self) -> bool:
        return self._watch is None or not self._watch.done()

    async def _end(self, tasks: set[asyncio.Task[Any]], *, was_asked: bool) -> int:
        for task in tasks:
            if task.done() and not task.cancelled() and not self._stop.is_set():
                log.error("%s ended", task.get_name(), exc_info=task.exception())

        # no new pass, then the end of those under way; only then may another replica lead
        self._stop.set()
        self._machine.elector.leading.clear()
        await self._parts.worker.drain(DRAIN_SECONDS)
        await self._machine.elector.release()
        await self._parts.audit.flush(FLUSH_SECONDS)

        # the watch ends by itself, because `_stop` is set
        for task in tasks - {self._watch}:
            task.cancel()
        await asyncio.wait(tasks, timeout=END_SECONDS)

        await self._health.stop()
        for source in self._parts.sources:
            await source.close()
        await self._parts.connection.close()
        log.info("ended", extra={"asked": was_asked})
        return 0 if was_asked else 1

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator; return the exit code."""
    options = _build_parser().parse_args(arguments)
    try:
        settings = load_settings(Path(options.settings))
        logs.configure_logging(settings.log_level)
        return asyncio.run(_run_operator(settings, options))
    except (SettingsError, ClusterUnavailable) as error:
        sys.stderr.write(f"slipway manager: {error}\n")
        return 1


async def _run_operator(settings: Settings, options: argparse.Namespace) -> int:
    kubeconfig = Path(options.kubeconfig) if options.kubeconfig else None
    connection = await connect(kubeconfig, user_agent=f"{LEASE_NAME}/{__version__}")
    instance = os.environ.get("POD_NAME") or os.uname().nodename
    parts = build(settings, connection, instance=instance)
    return await Operator(parts, port=options.port).run()


def _build_parser() -> argparse.ArgumentParser:
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
        "--port", type=int, default=names.OPERATOR_PORT, help="port of health and metrics"
    )

    return parser
