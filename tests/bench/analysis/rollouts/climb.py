"""A rollout from the first weight to its end, by the operator's own state machine.

`policy.rollout.decide`, `policy.analysis.study` and the status between passes are the real ones;
the small world of the unit tests stands for the cluster. Proxies acknowledge at once and replicas
are ready: what is measured is the time that evidence takes.
"""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
from slipway.api.counters import Counters
from slipway.api.modeldeployment import Outcome, Stage
from slipway.api.modeldeployment.rollout import Rollout
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.rollouts.case import Case, Truth
from tests.bench.analysis.rollouts.service import Service
from tests.builders import NOON
from tests.unit.policy.world import PROXIES as NAMES
from tests.unit.policy.world import DecisionWorld

LOOK_AT_LEAST = 30
"""Seconds between two looks while nothing of the candidate begins or ends. Between two stored looks
every look starts from the stored one, so those that are left out would have changed nothing."""
COLLECTING = {reason for reason in Reason if reason.is_collecting}
DECIDE_AT_LEAST = timedelta(seconds=10)
"""Between two decisions while every verdict stays the same."""
STARTS_WITHIN = 120
"""Ticks until the candidate has its first weight."""


class Result(StrEnum):
    """What became of a candidate."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    HELD = "Held"
    """Neither by the deadline: a person has to decide. A promotion later than that is none."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout ended."""

    result: Result
    seconds: int
    """From the first weight until the end."""
    at_full: int
    """Until the bake began; -1: it did not."""
    found_after: int
    """From the moment when the candidate became bad until the roll back; -1: it was never bad, or
    not rolled back."""
    harmed: float
    """Requests that failed, hung or were slow, and would not have been so on stable."""
    cause: str
    """Metric and reason of the roll back, or of the wait."""
    said: str
    """What spoke against a promotion, but for evidence that was still collected; empty: nothing."""


class Climb(DecisionWorld):
    """The world, with a service whose requests come and end by the tick."""

    service: Service | None = None
    verdicts: list[tuple[str, Verdict, Reason]] | None = None
    """What every metric said when it was decided last."""
    decided_at: datetime = NOON

    def answers(self) -> Sequence[Counters | None]:
        if self.service is None:
            return super().answers()
        return self.service.answers(NAMES, self.candidate_and_stable(), self.now)

    def candidate_and_stable(self) -> tuple[str, str]:
        """Return the revisions; one that is not there yet has a name that nobody asks for."""
        versions = {item.snapshot.version: name for name, item in self.revisions.items()}
        return versions.get("2", "none"), versions["1"]

    @property
    def weight(self) -> int:
        """Percent of the candidate."""
        return (self.weights or {}).get(self.candidate_and_stable()[0], 0)

    def _load(self) -> None:
        """Requests come by the service only."""
        if self.service is None:
            super()._load()

    def check_lengths(self, judgements: Sequence[Judgement]) -> None:
        """Tests do that; at every look of a million it would take a fifth of the time."""

    def acknowledge(self) -> None:
        """Every proxy takes the newest weights."""
        for proxy in NAMES:
            self.acked[proxy] = (self.generation, dict(self.weights or {}), self.now)

    def look(self) -> None:
        """Judge; decide where a verdict changed, and else every `DECIDE_AT_LEAST` seconds."""
        facts = self.facts()
        verdicts = [(item.name, item.verdict, item.reason) for item in facts.judgements]
        is_due = self.now - self.decided_at >= DECIDE_AT_LEAST
        if is_due or verdicts != self.verdicts:
            self.verdicts, self.decided_at = verdicts, self.now
            self.settle_weights(facts)

    def settle_weights(self, facts: Facts | None = None) -> None:
        """Reconcile until nothing moves without time; `facts` are those of this moment, if known.

        Proxies acknowledge at once.
        """
        for _ in range(8):
            before = self.generation
            self.reconcile(facts=facts)
            facts = None
            for state in self.workloads.values():
                state.ready = state.wanted
            if self.generation == before:
                return
            self.acknowledge()


def climb(case: Case, rng: np.random.Generator) -> Ending:
    """Roll out once."""
    world = copy.deepcopy(_serving_world(case.timeout))
    service = Service(case, rng)
    service.remember_past(case.past)
    world.service = service
    _ask_for_candidate(world, case)

    service.begin()
    full = -1
    looked = 0.0
    while service.at < case.hours * 3600:
        baking = service.at - full if full >= 0 else None
        changed = service.pass_tick(world.weight / 100, baking)
        world.now += timedelta(seconds=TICK)
        if not changed and service.at - looked < LOOK_AT_LEAST:
            continue

        looked = service.at
        said = _told(world)
        world.look()
        if full < 0 and _stage(world) is Stage.BAKING:
            full = int(service.at)
        result = _result(world)
        if result is not None:
            return _ending(world, service, result, full, said)
    return _ending(world, service, Result.HELD, full, _told(world))


@functools.cache
def _serving_world(timeout: int) -> Climb:
    """Return the world in which version 1 serves."""
    world = Climb(1)
    world.ask_for("1", rollout=_rollout_of({}), traffic={"timeoutSeconds": timeout})
    world.settle(60)
    return world


def _ask_for_candidate(world: Climb, case: Case) -> None:
    """Ask for version 2, and let stable serve until it has its first weight."""
    traffic = {"timeoutSeconds": case.timeout}
    world.ask_for("2", rollout=_rollout_of(case.rollout), traffic=traffic)
    assert world.service is not None
    for _ in range(STARTS_WITHIN):
        world.service.pass_tick(0.0, None)
        world.advance(TICK)
        world.acknowledge()
        world.settle_weights()
        if world.weight:
            return
    raise AssertionError(world.log)


def _rollout_of(changes: object) -> dict[str, object]:
    """Return the defaults of the schema, where the builders of the tests are quicker."""
    assert isinstance(changes, dict)
    return {"bakeSeconds": Rollout().bake_seconds, "analysis": {}, **changes}


def _stage(world: Climb) -> Stage | None:
    rollout = world.md.status.rollout
    return rollout.stage if rollout is not None else None


def _result(world: Climb) -> Result | None:
    outcome = dict(world.outcomes()).get("2")
    if outcome == Outcome.PROMOTED:
        return Result.PROMOTED
    if outcome is not None or _stage(world) is Stage.ROLLING_BACK:
        return Result.ROLLED_BACK
    is_over = any(entry.reason == Reason.DEADLINE_EXCEEDED for entry in world.md.status.conditions)
    return Result.HELD if is_over else None


def _told(world: Climb, *, collecting: bool = False) -> str:
    """Return what every metric says that does not pass, if wanted also while it collects."""
    rollout = world.md.status.rollout
    entries = rollout.analysis if rollout is not None else []
    return ", ".join(
        f"{entry.name} {entry.reason}"
        for entry in entries
        if entry.verdict not in {Verdict.PASS, ""}
        and (collecting or entry.reason not in COLLECTING)
    )


def _ending(world: Climb, service: Service, result: Result, full: int, said: str) -> Ending:
    case, seconds = service.case, int(service.at)
    onset = case.onset + (full if case.in_bake else 0)
    is_bad_since = onset if not case.in_bake or full >= 0 else -1
    found = seconds - is_bad_since if result is Result.ROLLED_BACK and is_bad_since >= 0 else -1
    return Ending(
        result=result,
        seconds=seconds,
        at_full=full,
        found_after=found if case.truth is Truth.BAD else -1,
        harmed=service.harmed,
        cause=_cause(world, result),
        said=said if result is Result.PROMOTED else "",
    )


def _cause(world: Climb, result: Result) -> str:
    back = world.md.status.last_rollback
    if result is Result.ROLLED_BACK and back is not None:
        return f"{back.metric or ''} {back.trigger.partition(':')[0]}".strip()
    return _told(world, collecting=True) if result is Result.HELD else ""
