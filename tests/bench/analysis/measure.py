"""Many runs of a scenario, and what each rule did with them."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import beta

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.ours import RunVerdict, Slipway
from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.peers.kayenta import Kayenta
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.simulate import CANDIDATE, Run, simulate


class Peer(Protocol):
    """A rule that stops a canary at a fixed weight."""

    @property
    def name(self) -> str: ...

    def stops(self, run: Run) -> int: ...


PEERS: tuple[Peer, ...] = (
    Flagger(),
    Flagger("Flagger 97 %", min_success=0.97),
    Argo(),
    Argo("Argo 98 %, 1 min", min_success=0.98, interval=60, range=300),
    Kayenta(),
)


@dataclass(frozen=True, slots=True)
class Stop:
    """What a rollback cost."""

    early: bool
    """Before there was a fault."""
    requests: int
    """Of the candidate, since the fault."""
    seconds: int
    harmed: float
    """Requests that failed and would not have on stable, or hung."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule on one scenario."""

    rule: str
    scenario: Scenario
    runs: int
    stops: tuple[Stop, ...]
    reasons: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of runs that were rolled back."""
        return len(self.stops) / self.runs

    @property
    def found(self) -> tuple[Stop, ...]:
        """Roll backs after the fault began."""
        return tuple(stop for stop in self.stops if not stop.early)


def at_most(seen: int, runs: int) -> float:
    """Return the one-sided 95% upper bound of a share (Clopper and Pearson 1934)."""
    return 1.0 if seen >= runs else float(beta.ppf(0.95, seen + 1, runs - seen))


def measure(
    scenario: Scenario, runs: int, *, peers: Sequence[Peer] = PEERS, ours: Slipway | None = None
) -> list[Cell]:
    """Return one cell per rule; every rule sees the same runs. The seed is the scenario's name."""
    stops: dict[str, list[Stop]] = {peer.name: [] for peer in peers}
    reasons: list[str] = []
    slipway = ours or Slipway()
    own: list[Stop] = []
    for rng in seeds(scenario.name, runs):
        run = simulate(scenario, rng)
        for peer in peers:
            stops[peer.name] += _stop(run, peer.stops(run))
        verdict: RunVerdict = slipway.verdict(run, rng)
        own += _stop(run, verdict.fail)
        if verdict.fail >= 0:
            reasons.append(f"{verdict.metric} {verdict.reason}")
    cells = [Cell(name, scenario, runs, tuple(made)) for name, made in stops.items()]
    return [Cell(slipway.name, scenario, runs, tuple(own), tuple(reasons)), *cells]


def seeds(name: str, runs: int) -> Iterable[np.random.Generator]:
    """Yield a generator per run, the same ones each time."""
    return (np.random.default_rng([zlib.crc32(name.encode()), number]) for number in range(runs))


def _stop(run: Run, tick: int) -> list[Stop]:
    if tick < 0:
        return []
    scenario = run.scenario
    begin = scenario.onset // TICK
    if tick < begin:
        return [Stop(early=True, requests=0, seconds=0, harmed=0)]
    seen = slice(begin, tick + 1)
    begun = int(run.begun[seen, CANDIDATE].sum())
    finished = run.requests[seen, CANDIDATE].sum(1)
    candidate, stable = scenario.ratios()
    harmed = float((finished * (candidate - stable)[seen]).sum()) + begun - int(finished.sum())
    return [Stop(early=False, requests=begun, seconds=(tick + 1 - begin) * TICK, harmed=harmed)]
