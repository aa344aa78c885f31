"""How long one look takes, with all that a pass does: memories in, memories out."""

import time

import numpy as np
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import judge

from tests.bench.analysis import tables
from tests.bench.analysis.counted import START, looks
from tests.bench.analysis.extras import Extras
from tests.bench.analysis.ours import Slipway, Status
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.simulate import simulate

PROMISED_MILLIS = 2.0


def timing() -> str:
    """Return the CPU milliseconds of a look, by number of metrics."""
    head = ["metrics", "looks", "mean", "p99", "promised"]
    return tables.table(head, [_row(2, "-"), _row(12, f"{PROMISED_MILLIS:g} ms")])


def _row(metrics: int, promised: str) -> list[str]:
    spent = np.array(look_millis(metrics))
    texts = f"{spent.mean():.2f} ms", f"{np.quantile(spent, 0.99):.2f} ms"
    return [f"{metrics}", f"{len(spent)}", *texts, promised]


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
