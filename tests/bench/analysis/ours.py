"""The operator's own analysis under virtual time: the real code, one look after the other.

The plan is the one that `reconcile.observe` makes; status is kept as the operator keeps it, so what
is judged at a look has gone through the text in status.
"""

from dataclasses import dataclass

import numpy as np
from slipway.api.modeldeployment import Tolerance
from slipway.policy.analysis.judge import Plan, judge
from slipway.policy.facts import Judgement

from tests.bench.analysis.counted import REVISIONS, ROUTE, looks
from tests.bench.analysis.simulate import Run

MIN_SAMPLES = 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended for the operator."""

    fail: int = -1
    """Tick of the first Fail; -1: none."""
    passed: int = -1
    """Tick of the first look at which every metric was Pass."""
    metric: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Slipway:
    """Mode Auto with the defaults of the schema."""

    name: str = "Slipway"
    tolerance: Tolerance = Tolerance()

    def verdict(self, run: Run, rng: np.random.Generator, *, until: str = "Fail") -> Verdict:
        """Look at a run until the first Fail, or the first Pass."""
        memory: str | None = None
        passed = -1
        weights = (run.scenario.weight_at() * 100).round().astype(int)
        for look in looks(run, rng):
            weight = int(weights[max(0, look.tick - 1)])
            judged = judge(memory, look.answers, self._plan(weight))
            memory = judged[0].state
            failed = [item for item in judged if item.verdict == "Fail"]
            if failed:
                return _failed(look.tick - 1, passed, failed[0])
            if passed < 0 and all(item.verdict == "Pass" for item in judged):
                passed = look.tick - 1
                if until == "Pass":
                    break
        return Verdict(passed=passed)

    def _plan(self, weight: int) -> Plan:
        return Plan(
            route=ROUTE,
            candidate=REVISIONS[0],
            stable=REVISIONS[1],
            step=f"{weight}",
            min_samples=MIN_SAMPLES,
            tolerance=self.tolerance,
        )


def _failed(tick: int, passed: int, by: Judgement) -> Verdict:
    return Verdict(tick, passed, by.name, by.reason)
