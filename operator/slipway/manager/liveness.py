"""Liveness: claims about this process that a restart would make true again.

A stuck event loop needs no check: it answers no probe. An API server that does not answer, or
refuses, is no reason to restart: a new process would find the same.
"""

from collections.abc import Callable

from slipway.engine.sweep import INTERVAL_SECONDS
from slipway.manager.health_server import Check
from slipway.manager.metrics.machine import Machine

STALE_ELECTION_SECONDS = 60.0
STALE_SWEEP_SECONDS = 4 * INTERVAL_SECONDS
STALE_HEARTBEAT_SECONDS = 30.0
SILENT_WATCH_SECONDS = 300.0
"""A live watch receives a bookmark every minute, and is reopened after 70 s without one."""
STUCK_QUEUE_SECONDS = 900.0
"""A pass is cancelled after two minutes, and the process ends with any of its workers."""


def liveness_checks(
    machine: Machine, watches_run: Callable[[], bool], trusts_newest: Callable[[], bool]
) -> tuple[Check, ...]:
    """Return the checks of ``/healthz``; those that need a filled cache hold until it is filled."""
    synced = machine.sweep.synced.is_set

    return (
        Check("the watches run", watches_run),
        Check("the API server's newest authorities are trusted", trusts_newest),
        Check(
            "the watches show what exists", lambda: not (synced() and machine.sweep.watch_is_dead)
        ),
        Check("every watch gives signs of life", lambda: not synced() or not silent_kinds(machine)),
        Check("the sweep runs", lambda: not synced() or machine.sweep.idle < STALE_SWEEP_SECONDS),
        Check(
            "the election runs",
            lambda: not synced() or machine.elector.age < STALE_ELECTION_SECONDS,
        ),
        Check("the event loop runs", lambda: machine.lag.age < STALE_HEARTBEAT_SECONDS),
        Check("the queue moves", lambda: machine.longest_wait < STUCK_QUEUE_SECONDS),
    )


def silent_kinds(machine: Machine) -> list[str]:
    """Return the kinds that have a dead watch: silent although the API server answers."""
    if not machine.heartbeats.heard:
        return []

    answered = machine.elector.answered_for
    return [
        kind
        for kind, seconds in machine.heartbeats.seconds_silent().items()
        if min(seconds, answered) > SILENT_WATCH_SECONDS
    ]
