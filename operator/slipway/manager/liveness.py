"""What must be true for this process to be worth keeping: a restart would help where it is not.

A loop that is stuck needs no check: it answers no probe. An API server that is away is no reason
either, nor one that refuses: whoever starts anew finds the same.
"""

from collections.abc import Callable

from slipway.engine.sweep import INTERVAL_SECONDS
from slipway.manager.health import Check
from slipway.manager.metrics.machine import Machine

STALE_ELECTION_SECONDS = 60.0
STALE_SWEEP_SECONDS = 4 * INTERVAL_SECONDS
STALE_HEARTBEAT_SECONDS = 30.0
SILENT_WATCH_SECONDS = 300.0
"""A watch that lives brings a bookmark every minute, and is opened anew after 70 s without."""
STUCK_QUEUE_SECONDS = 900.0
"""A pass is cut off after two minutes, and workers that end take the process with them."""


def liveness_checks(machine: Machine, watches_run: Callable[[], bool]) -> tuple[Check, ...]:
    """Return the checks of ``/healthz``; those that need a filled cache hold until it is."""
    synced = machine.sweep.synced.is_set
    return (
        Check("the watches run", watches_run),
        Check(
            "the watches show what exists", lambda: not (synced() and machine.sweep.watch_is_dead)
        ),
        Check("every watch gives signs of life", lambda: not synced() or not silent_kinds(machine)),
        Check("sweeps go on", lambda: not synced() or machine.sweep.idle < STALE_SWEEP_SECONDS),
        Check(
            "the election goes on",
            lambda: not synced() or machine.elector.age < STALE_ELECTION_SECONDS,
        ),
        Check("the heart beats", lambda: machine.lag.age < STALE_HEARTBEAT_SECONDS),
        Check("the queue moves", lambda: machine.waited < STUCK_QUEUE_SECONDS),
    )


def silent_kinds(machine: Machine) -> list[str]:
    """Return the kinds of which a watch is dead: silent although the API server answers."""
    if not machine.pulses.heard:
        return []
    answered = machine.elector.answered_for
    return [
        kind
        for kind, seconds in machine.pulses.silence().items()
        if min(seconds, answered) > SILENT_WATCH_SECONDS
    ]
