"""The operator's own analysis under virtual time: the real code, one look after the other.

Status is kept as the operator keeps it: written at once when a verdict or the weight changes, else
every 30 s, so most looks start from memories that are older than the last look.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from slipway.api.modeldeployment import Tolerance
from slipway.api.modeldeployment.rollout import Rollout
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.plan import Plan
from slipway.policy.judgement import Judgement, Role, texts_of
from slipway.policy.ladder import list_rungs

from tests.bench.analysis.counted import REVISIONS, ROUTE, START, looks
from tests.bench.analysis.extras import Extras
from tests.bench.analysis.simulate import Run

RUNGS = list_rungs(Rollout())
LADDER = (*(rung.weight for rung in RUNGS if not rung.is_bake), RUNGS[-1].weight)
"""The default steps, and the bake."""
STORED_EVERY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """How a run ended for the operator."""

    fail: int = -1
    """Tick of the first Fail; -1: none."""
    passed: int = -1
    """Tick of the first look at which every required metric was Pass."""
    metric: str = ""
    reason: str = ""
    kinds: frozenset[str] = frozenset()
    """RunVerdict and reason of every metric at the last look."""


class Status:
    """What is stored of the judgements."""

    def __init__(self) -> None:
        self.memories: Mapping[str, str] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._at: datetime | None = None

    def keep(self, judged: tuple[Judgement, ...], now: datetime) -> None:
        """Store, if a verdict changed or the last time is long ago."""
        verdicts = {item.name: item.verdict for item in judged}
        is_old = self._at is None or now - self._at >= STORED_EVERY
        if verdicts == self._verdicts and not is_old:
            return
        self._verdicts, self._at = verdicts, now
        self.memories = texts_of(judged)


@dataclass(frozen=True, slots=True)
class Slipway:
    """Mode Auto with the defaults of the schema."""

    name: str = "Slipway"
    tolerance: Tolerance = field(default_factory=Tolerance)

    def verdict(
        self, run: Run, rng: np.random.Generator, *, until_pass: bool = False
    ) -> RunVerdict:
        """Look at a run until the first Fail, or the first Pass of all."""
        status, passed = Status(), -1
        weights = (run.scenario.weight_at() * 100).round().astype(int)
        extras = Extras(run, rng)
        judged: tuple[Judgement, ...] = ()
        since, weight = START, int(weights[0])

        for look in looks(run, rng):
            now = int(weights[min(look.tick, len(weights) - 1)])
            inputs = LookInputs(look.answers, extras.readings(look.tick - 1))

            if now != weight:
                since, weight = look.at, now
            plan = self.plan(weight, since, extras)
            judged = judge(status.memories, inputs, plan, look.at)
            status.keep(judged, look.at)

            failed = [item for item in judged if _counts(item) and item.verdict is Verdict.FAIL]
            if failed:
                worst = failed[0]
                return RunVerdict(look.tick - 1, passed, worst.name, worst.reason, _kinds(judged))

            if passed < 0 and all(
                item.verdict is Verdict.PASS for item in judged if item.role is Role.REQUIRED
            ):
                passed = look.tick - 1
                if until_pass:
                    break

        return RunVerdict(passed=passed, kinds=_kinds(judged))

    def plan(self, weight: int, since: datetime, extras: Extras) -> Plan:
        """Return the plan of a step."""
        return Plan(
            route=ROUTE,
            candidate=REVISIONS[0],
            stable=REVISIONS[1],
            step=since.isoformat().replace("+00:00", "Z"),
            number=1 + sum(1 for rung in LADDER if rung < weight),
            weight=weight,
            next_weight=next_weight(weight),
            tolerance=self.tolerance,
            metrics=extras.metrics,
        )


def next_weight(weight: int) -> int:
    """Return the weight after `weight`."""
    return next((rung for rung in LADDER if rung > weight), LADDER[-1])


def _counts(judgement: Judgement) -> bool:
    return judgement.role is not Role.REPORT_ONLY


def _kinds(judged: tuple[Judgement, ...]) -> frozenset[str]:
    return frozenset(f"{item.name} {item.verdict} {item.reason}" for item in judged)
