"""How long looks take, with all that a pass does: memories in, and texts out where they are stored.

One rollout's look by itself, and a hundred rollouts that are looked at every second, each with data
and memories of its own. They begin one after the other and are stored as the operator stores them:
when a verdict changes, else every half minute. What is stored is encoded within the time.
"""

import time
from datetime import timedelta

import numpy as np
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import judge

from tests.bench.analysis import tables
from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.counted import START, looks
from tests.bench.analysis.extras import Extras
from tests.bench.analysis.ours import Slipway, Status
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.simulate import simulate

PROMISED_MILLIS = 1.0
METRICS = 12
ROLLOUTS = 100
"""Side by side."""
BEGINNING = 30
"""Seconds in which they begin, one after the other."""
WARM = 60
"""Seconds that do not count: by then none is warming up, where looks are cheap."""


def timing() -> str:
    """Return the CPU time of a look, by number of metrics, and of a second of many rollouts."""
    head = ["looks", "CPU time", "p99", "promised"]
    rows = [_row(2, "-"), _row(METRICS, f"{PROMISED_MILLIS:g} ms"), _fleet_row()]
    return tables.table(head, rows)


def _row(metrics: int, promised: str) -> list[str]:
    spent = np.array(look_millis(metrics))
    texts = f"{spent.mean():.2f} ms", f"{np.quantile(spent, 0.99):.2f} ms"
    return [f"one, {metrics} metrics", *texts, promised]


def _fleet_row() -> list[str]:
    spent = np.array(fleet_seconds())
    texts = f"{spent.mean():.1%} of a core", f"{np.quantile(spent, 0.99):.1%}"
    return [f"of {ROLLOUTS} rollouts, {METRICS} metrics, each second", *texts, "100%"]


def look_millis(metrics: int, seconds: int = 3600) -> list[float]:
    """Return the CPU time of each look of a run without a fault."""
    rng = np.random.default_rng(7)
    scenario = Scenario("timing", 100, metrics=metrics, seconds=seconds)
    run = simulate(scenario, rng)
    status, extras, spent = Status(), Extras(run, rng), []
    for look in looks(run, rng):
        inputs = LookInputs(look.answers, extras.readings(look.tick - 1))
        plan = Slipway().plan(5, START, extras)
        begin = time.process_time()
        judged = judge(status.memories, inputs, plan, look.at)
        spent.append((time.process_time() - begin) * 1000)
        status.keep(judged, look.at)
    return spent


def fleet_seconds(seconds: int = 60) -> list[float]:
    """Return the CPU seconds of each second in which `ROLLOUTS` rollouts are looked at once."""
    rollouts = [_Rollout(number, WARM + seconds) for number in range(ROLLOUTS)]
    spent = []
    for second in range(WARM + seconds):
        begin = time.process_time()
        for rollout in rollouts:
            rollout.look(second)
        spent.append(time.process_time() - begin)
    return spent[WARM:]


class _Rollout:
    """A rollout with all that its looks will read."""

    def __init__(self, number: int, most: int) -> None:
        rng = np.random.default_rng(number)
        scenario = Scenario("fleet", 100, metrics=METRICS, seconds=most * TICK)
        run = simulate(scenario, rng)
        extras = Extras(run, rng)
        self._inputs = [
            LookInputs(look.answers, extras.readings(look.tick - 1)) for look in looks(run, rng)
        ]
        self._plan = Slipway().plan(5, START, extras)
        self._begins = number * BEGINNING // ROLLOUTS
        self._status = Status()

    def look(self, second: int) -> None:
        """Judge what is read by now, and encode what is remembered where it is stored."""
        number = second - self._begins
        if number < 0:
            return
        at = START + timedelta(seconds=number)
        judged = judge(self._status.memories, self._inputs[number], self._plan, at)
        self._status.keep(judged, at)
