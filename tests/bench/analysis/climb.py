"""Whole rollouts with the operator's own state machine: weights follow from the verdicts.

`policy.rollout.decide`, `policy.analysis.study` and the status between passes are the real ones;
the small world of the unit tests stands for the cluster. Proxies acknowledge at once, replicas are
ready: what is measured is the time that evidence takes.
"""

import copy
import functools
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from slipway.api.counters import Counters, Latency, RouteCounters
from slipway.api.modeldeployment import Outcome, Stage
from slipway.policy.analysis.study import study_of
from slipway.policy.facts import Facts

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.counted import EDGES, PAST
from tests.bench.analysis.simulate import PROXIES, bucket_shares
from tests.unit.policy.world import PROXIES as NAMES
from tests.unit.policy.world import DecisionWorld

GIVE_UP = 2 * 3600


@dataclass(frozen=True, slots=True)
class Case:
    """A version that is rolled out."""

    rps: float
    stable: float
    candidate: float
    slower: float = 1.0

    @property
    def name(self) -> str:
        slow = f", latency x {self.slower:g}" if self.slower > 1 else ""
        return f"{self.rps:g} rps, {self.stable:.2g} → {self.candidate:.2g}{slow}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout ended."""

    outcome: str
    """Promoted, RolledBack or Undecided."""
    at_full: int
    """Seconds until the last weight before the bake was reached; -1: never."""
    seconds: int
    """Seconds from the first weight until the end."""
    harmed: float
    """Requests that failed, or were slow, on the candidate and would not have been on stable."""


class Climb(DecisionWorld):
    """The world, with counters and latencies drawn per tick and all else at once."""

    def start(self, case: Case, rng: np.random.Generator) -> None:
        self.case, self.rng = case, rng
        delays = np.array([case.slower, 1.0])
        self.shares = bucket_shares(delays)
        self.totals = np.zeros((PROXIES, 2, len(EDGES) + 1), int)
        self.bad = np.zeros((PROXIES, 2), int)
        self.totals[:, 1] = np.rint(PAST * case.rps / PROXIES * self.shares[1])
        self.bad[:, 1] = np.rint(self.totals[:, 1].sum(1) * case.stable)
        self.harmed = 0.0

    def facts(self) -> Facts:
        facts = super().facts()
        if not hasattr(self, "case"):
            return facts
        study = study_of(facts)
        judgements = study.judge(self._answers(), {}, self.now) if study is not None else ()
        return replace(facts, judgements=judgements)

    def _roles(self) -> tuple[str, str]:
        versions = {item.snapshot.version: name for name, item in self.revisions.items()}
        return versions["2"], versions["1"]

    def _answers(self) -> list[Counters]:
        stamp = self.now.isoformat().replace("+00:00", "Z")
        return [
            Counters.model_construct(
                proxy=name,
                envoy_start="1",
                at=stamp,
                routes=[self._counted(number, role) for role in range(2)],
            )
            for number, name in enumerate(NAMES)
        ]

    def _counted(self, proxy: int, role: int) -> RouteCounters:
        counts = self.totals[proxy, role]
        return RouteCounters.model_construct(
            name="digits",
            revision=self._roles()[role],
            pinned=False,
            requests=int(counts.sum()),
            errors=int(self.bad[proxy, role]),
            resets=0,
            timeouts=0,
            client_errors=0,
            active=0,
            latency=Latency.model_construct(edges_millis=EDGES, counts=counts.tolist()),
        )

    def tick(self) -> None:
        """Let requests come for one tick at the weights in force."""
        self.now += timedelta(seconds=TICK)
        weight = self.weight / 100
        total = self.rng.poisson(self.case.rps * TICK)
        split = np.repeat([weight, 1 - weight], PROXIES) / PROXIES
        requests = self.rng.multinomial(total, split).reshape(2, PROXIES).T
        self.totals += self.rng.multinomial(requests, self.shares[None])
        self.bad += self.rng.binomial(requests, [self.case.candidate, self.case.stable])
        extra = self.case.candidate - self.case.stable
        self.harmed += float(requests[:, 0].sum()) * extra

    @property
    def weight(self) -> int:
        """Percent of the candidate."""
        return (self.weights or {}).get(self._roles()[0], 0)

    def _load(self) -> None:
        """Requests come by `tick` only."""
        if not hasattr(self, "case"):
            super()._load()

    def acknowledge(self) -> None:
        """Every proxy takes the newest weights."""
        for proxy in NAMES:
            self.acked[proxy] = (self.generation, dict(self.weights or {}), self.now)

    def settle_weights(self) -> None:
        """Reconcile until nothing moves without time."""
        for _ in range(8):
            before = self.generation
            self.reconcile()
            for state in self.workloads.values():
                state.ready = state.wanted
            if self.generation == before:
                return
            self.acknowledge()


@functools.cache
def ready_to_climb() -> Climb:
    """Return the world in which version 1 serves and version 2 has passed its checks."""
    world = Climb(1)
    defaults = {"bakeSeconds": 600, "analysis": {"intervalSeconds": TICK, "minSamples": 50}}
    world.ask_for("1", rollout=defaults)
    world.settle(60)
    world.ask_for("2", rollout=defaults)
    for _ in range(60):
        world.advance()
        world.reconcile()
        if "2" in {item.snapshot.version for item in world.revisions.values()} and world.weight:
            return world
    raise AssertionError(world.log)


def climb(case: Case, rng: np.random.Generator) -> Ending:
    """Roll out once."""
    world = copy.deepcopy(ready_to_climb())
    world.start(case, rng)
    world.acknowledge()

    begun, full = world.now, -1
    while (world.now - begun).total_seconds() < GIVE_UP:
        world.settle_weights()
        seconds = int((world.now - begun).total_seconds())
        status = world.md.status.rollout
        if status is not None and full < 0 and status.stage is Stage.BAKING:
            full = seconds

        known = dict(world.outcomes())
        if known.get("2") is Outcome.PROMOTED:
            return Ending("Promoted", full, seconds, world.harmed)
        if status is not None and (status.stage is Stage.ROLLING_BACK or "2" in known):
            return Ending("RolledBack", full, seconds, world.harmed)

        world.tick()
    return Ending("Undecided", full, GIVE_UP, world.harmed)
