"""How long looks take, with all that a pass does: memories in, and texts out where they are stored.

One rollout's look by itself, and a hundred rollouts that are looked at every second, each with data
and memories of its own, and each stored every half minute, one after the other.
"""

import time

import numpy as np
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import judge
from slipway.policy.judgement import texts_of

from tests.bench.analysis import tables
from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.counted import START, looks
from tests.bench.analysis.extras import Extras
from tests.bench.analysis.ours import Slipway, Status
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.simulate import simulate

PROMISED_MILLIS = 1.5
METRICS = 12
ROLLOUTS, STORED_EVERY = 100, 30
"""Rollouts side by side, and of how many looks one is stored: a look is a second."""


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
    texts = f"{spent.mean():.2f} s", f"{np.quantile(spent, 0.99):.2f} s"
    return [f"of {ROLLOUTS} rollouts, {METRICS} metrics, in a second", *texts, "1 s"]


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
    rollouts = [_Rollout(number, seconds) for number in range(ROLLOUTS)]
    spent = []
    for second in range(seconds):
        begin = time.process_time()
        for number, rollout in enumerate(rollouts):
            rollout.look(second, stores=second < 2 or (second + number) % STORED_EVERY == 0)
        spent.append(time.process_time() - begin)
    return spent


class _Rollout:
    """A rollout with all that its looks will read."""

    def __init__(self, seed: int, ticks: int) -> None:
        rng = np.random.default_rng(seed)
        scenario = Scenario("fleet", 100, metrics=METRICS, seconds=ticks * TICK)
        run = simulate(scenario, rng)
        extras = Extras(run, rng)
        self._looks = [
            (look.at, LookInputs(look.answers, extras.readings(look.tick - 1)))
            for look in looks(run, rng)
        ]
        self._plan = Slipway().plan(5, START, extras)
        self._texts: dict[str, str] = {}

    def look(self, number: int, *, stores: bool) -> None:
        """Judge what is read by now, and encode what is remembered where it is stored."""
        at, inputs = self._looks[number]
        judged = judge(self._texts, inputs, self._plan, at)
        if stores:
            self._texts = texts_of(judged)
