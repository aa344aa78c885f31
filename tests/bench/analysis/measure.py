"""Many runs of a scenario, and what each rule did with them."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Protocol

from scipy.stats import beta

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.ours import Slipway
from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.peers.kayenta import Kayenta
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.seeds import seed_of
from tests.bench.analysis.simulate import CANDIDATE, simulate
from tests.bench.analysis.simulate import Run as Simulated
from tests.bench.analysis.store import Run


class Peer(Protocol):
    """A rule that stops a canary at a fixed weight."""

    @property
    def name(self) -> str: ...

    def stops(self, run: Simulated) -> int: ...


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
    made = [measure_once(scenario, number, peers=peers, ours=ours) for number in range(runs)]
    return read_cells(scenario, made)


def measure_once(
    scenario: Scenario,
    number: int,
    *,
    peers: Sequence[Peer] = PEERS,
    ours: Slipway | None = None,
) -> Run:
    """Return what each rule did with one run: its `Stop` as a list, or None."""
    rng = seed_of(scenario.name, number)
    run, slipway = simulate(scenario, rng), ours or Slipway()
    stops = {peer.name: _stop(run, peer.stops(run)) for peer in peers}
    made = {slipway.name: _stop(run, slipway.verdict(run, rng).fail), **stops}
    return {rule: None if stop is None else astuple(stop) for rule, stop in made.items()}


def read_cells(scenario: Scenario, runs: Sequence[Run]) -> list[Cell]:
    """Return one cell per rule from what `measure_once` returned."""
    return [
        Cell(rule, scenario, len(runs), tuple(Stop(*run[rule]) for run in runs if run[rule]))
        for rule in (runs[0] if runs else {})
    ]


def _stop(run: Simulated, tick: int) -> Stop | None:
    if tick < 0:
        return None
    scenario = run.scenario
    begin = scenario.onset // TICK
    if tick < begin:
        return Stop(early=True, requests=0, seconds=0, harmed=0)
    seen = slice(begin, tick + 1)
    begun = int(run.begun[seen, CANDIDATE].sum())
    finished = run.requests[seen, CANDIDATE].sum(1)
    candidate, stable = scenario.ratios()
    harmed = float((finished * (candidate - stable)[seen]).sum()) + begun - int(finished.sum())
    return Stop(early=False, requests=begun, seconds=(tick + 1 - begin) * TICK, harmed=harmed)
