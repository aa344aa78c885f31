"""Rollouts with a comparison of answers first, beside the steps alone and the peers' rules.

A request is a pair. The judge of pairs looks every five seconds, at less than one request a second
as often as five come, with the defaults and for as long as a rollout gives it at that rate. Stable
fails one request in a hundred; half of these belong to the request, so that the candidate fails
them too, unless a version says otherwise. Times are log-normal around those of the same request.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from statistics import median

import numpy as np
from slipway.api.modeldeployment import ModelDeploymentSpec
from slipway.api.verdict import Verdict
from slipway.policy.analysis.forecast import ExpectedTraffic
from slipway.policy.analysis.pairs.forecast import longest_seconds
from slipway.policy.analysis.pairs.judge_pairs import PairsPlan, judge_pairs
from slipway.policy.analysis.schedule import choose_schedule
from slipway.policy.shadow.counts import MUCH, PairCounts, PairsMemory

from tests.bench.analysis.bench import Bench, Cell
from tests.bench.analysis.peers.climb import Ratios
from tests.bench.analysis.rollouts import cases
from tests.bench.analysis.rollouts.behaviour import answers
from tests.bench.analysis.rollouts.case import Case
from tests.bench.analysis.rollouts.climb import Ending, Result
from tests.bench.analysis.rollouts.outcome import interval, roll_out
from tests.bench.analysis.seeds import seed_of
from tests.bench.analysis.store import Run
from tests.bench.analysis.tables import percent, table

LOOK_SECONDS = 5
ROUTERS = 2
STABLE_ERRORS = 0.01
NOISE = 0.15
"""Sigma of the logarithm of a time, on either side."""
PLAN = PairsPlan(weights=(50, 95), enforces_answers=True)
RATES = (0.1, 1.0, 10.0, 100.0)
TARGET_RATE = 1.0
"""At which the targets are; at the others a fourth of the runs is made."""
FEWER = {0.1: 100, 1.0: 50, 10.0: 25, 100.0: 20}
"""For so many runs with a comparison one is made of the steps alone, which take seconds each."""
SPEC = ModelDeploymentSpec.model_validate(
    {"model": {"version": "2", "source": {"uri": "s3://models/2"}}}
)


@dataclass(frozen=True, slots=True)
class Version:
    """A candidate beside stable."""

    name: str
    is_good: bool = True
    errors: float = STABLE_ERRORS
    shared: float = 0.5
    """Of stable's errors, those that the candidate makes on the same requests."""
    differing: float = 0.0
    slower: float = 1.0


VERSIONS = (
    Version("as good"),
    Version("as good, errors of chance", shared=0.0),
    Version("5% slower", slower=1.05),
    Version("errors 1% → 5%", is_good=False, errors=0.05),
    Version("errors 1% → 5%, of chance", is_good=False, errors=0.05, shared=0.0),
    Version("5% of classes wrong", is_good=False, differing=0.05),
    Version("latency x 2", is_good=False, slower=2.0),
)


@dataclass(frozen=True, slots=True)
class PairsEnd:
    """How a comparison ended: refused, or with a weight, 0 for none; and after how long."""

    is_refused: bool
    weight: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PairsOutcome:
    """The ends of many comparisons of one version."""

    ends: Sequence[PairsEnd]

    @property
    def runs(self) -> int:
        """Return how many there are."""
        return len(self.ends)

    @property
    def refused(self) -> list[float]:
        """Return the seconds of those that were refused."""
        return [end.seconds for end in self.ends if end.is_refused]

    @property
    def whole(self) -> list[float]:
        """Return the seconds of those that may begin with the bake."""
        return [end.seconds for end in self.ends if end.weight == PLAN.weights[-1]]


def cell_name(version: Version, rps: float) -> str:
    """Return the name of a cell, which is the seed of its runs."""
    return f"shadow: {version.name}, {rps:g}/s"


def compare(version: Version, rps: float, number: int) -> Run:
    """Compare answers until they are refused, are enough, or the time is over."""
    rng = seed_of(cell_name(version, rps), number)
    per_second = min(rps, ROUTERS * SPEC.rollout.shadow.max_pairs_per_second)
    look, longest = max(LOOK_SECONDS, LOOK_SECONDS / rps), seconds_at(rps)
    counts, weight, seconds = PairCounts(), 0, 0.0
    while seconds < longest:
        seconds += look
        counts += draw_pairs(version, int(rng.poisson(per_second * look)), rng)
        judgements, weight = judge_pairs(PairsMemory(counts), PLAN)
        if any(item.may_decide and item.verdict is Verdict.FAIL for item in judgements):
            return asdict(PairsEnd(is_refused=True, weight=0, seconds=seconds))
        if weight == PLAN.weights[-1]:
            break
    return asdict(PairsEnd(is_refused=False, weight=weight, seconds=seconds))


@cache
def seconds_at(rps: float) -> int:
    """Return how long a rollout compares answers at most."""
    schedule = choose_schedule(SPEC, ExpectedTraffic(rps, STABLE_ERRORS))
    return longest_seconds(SPEC, schedule, rps)


def draw_pairs(version: Version, pairs: int, rng: np.random.Generator) -> PairCounts:
    """Draw so many pairs."""
    common = version.shared * STABLE_ERRORS
    both = rng.random(pairs) < common
    stable = both | (rng.random(pairs) < STABLE_ERRORS - common)
    candidate = both | (rng.random(pairs) < version.errors - common)
    answered = ~(stable | candidate)
    ratios = version.slower * np.exp(rng.normal(0, NOISE * np.sqrt(2), pairs))[answered]
    differing = int((rng.random(pairs)[answered] < version.differing).sum())
    timed = int(answered.sum())
    return PairCounts(
        pairs=pairs,
        worse=int((candidate & ~stable).sum()),
        better=int((stable & ~candidate).sum()),
        both=int((stable & candidate).sum()),
        agreed=timed - differing,
        differing=differing,
        timed=timed,
        slower=int((ratios > PLAN.limit_ratio).sum()),
        much_slower=int((ratios > MUCH).sum()),
        much_faster=int((ratios < 1 / MUCH).sum()),
    )


# ── the table ──

Peers = Callable[[Ratios, int], Run]
"""Ends of a rollout by the name of a peer's rule."""
Alone = tuple[Version, float]


def make_table(bench: Bench, climb_of_peers: Peers) -> str:
    """Return how each version ends at each rate: with a comparison, by the steps, by peers."""
    pairs = measure_pairs(bench)
    alone = _steps_alone(bench)
    peers = _peers(bench, climb_of_peers)
    rules = list(next((runs[0] for runs in peers.values() if runs), {}))
    head = ["version", "requests/s", "runs", "pairs first", "steps alone", *rules]
    rows = [
        [
            version.name,
            f"{rps:g}",
            f"{outcome.runs}",
            describe_pairs(version, outcome),
            describe_ends(version, alone.get((version, rps), [])),
            *(
                describe_ends(
                    version, [_ending(run[rule]) for run in peers.get((version, rps), [])]
                )
                for rule in rules
            ),
        ]
        for (version, rps), outcome in pairs.items()
        if outcome.runs
    ]
    return table(head, rows) if rows else ""


def measure_pairs(bench: Bench) -> dict[Alone, PairsOutcome]:
    """Return what became of every version at every rate."""
    return {
        (version, rps): PairsOutcome(_runs(bench, version, rps))
        for rps in RATES
        for version in VERSIONS
    }


def _runs(bench: Bench, version: Version, rps: float) -> list[PairsEnd]:
    cell = Cell(cell_name(version, rps), partial(compare, version, rps))
    wanted = bench.runs if rps == TARGET_RATE else max(1, bench.runs // 4)
    made = bench.runs_of([cell], wanted)
    return [PairsEnd(**found) for found in made.get(cell.name, [])]


def _steps_alone(bench: Bench) -> dict[Alone, list[Ending]]:
    """Return the endings of rollouts without a comparison, of the versions that differ to them."""
    found = {}
    for rps in RATES:
        runs = max(2, bench.runs // FEWER[rps])
        for version, case in _cases(rps):
            cell = Cell(f"rollout: {case.name}", partial(roll_out, case))
            made = bench.runs_of([cell], runs).get(cell.name, [])
            found[version, rps] = [_ending(run) for run in made]
    return found


def _cases(rps: float) -> list[tuple[Version, Case]]:
    good, _, _, errors, _, classes, slow = VERSIONS
    alike = cases.alike_at(rps)
    return [
        (good, alike),
        (errors, cases.errors(STABLE_ERRORS, 0.05, rps)),
        (classes, alike),
        (slow, cases.slower_at(rps, answers(slower=2.0), "latency x 2")),
    ]


def _peers(bench: Bench, climb_of_peers: Peers) -> dict[Alone, list[Run]]:
    """Return what the peers' rules make of the errors; they count nothing else."""
    found = {}
    good, _, _, errors, _, classes, _ = VERSIONS
    for rps in RATES:
        for version in (good, errors, classes):
            ratios = Ratios(rps, STABLE_ERRORS, version.errors)
            cell = Cell(f"peers: {ratios.name}", partial(climb_of_peers, ratios))
            found[version, rps] = bench.runs_of([cell]).get(cell.name, [])
    return found


def _ending(run: Run) -> Ending:
    return Ending(**{**run, "result": Result(run["result"])})


def describe_pairs(version: Version, outcome: PairsOutcome) -> str:
    """Return the share that ended as it should, the median of its seconds, and the rest."""
    refused, runs = outcome.refused, outcome.runs
    if not version.is_good:
        text = _median_of(refused, runs, "found")
        return f"{text}, no user" if refused else text
    low, high = interval(len(refused), runs)
    refusals = f"refused {percent(len(refused) / runs)} ({percent(low)} to {percent(high)})"
    return f"{_median_of(outcome.whole, runs, 'all users')}; {refusals}"


def describe_ends(version: Version, ends: Sequence[Ending]) -> str:
    """Return the same of rollouts by steps, with the requests that were harmed meanwhile.

    What raises no error is nothing that they see: who refuses it, does so by chance.
    """
    if not ends:
        return "-"
    back = [end for end in ends if end.result is Result.ROLLED_BACK]
    whole = [end.at_full for end in ends if end.at_full >= 0]
    if version.differing:
        return f"by chance {percent(len(back) / len(ends))}"
    if not version.is_good:
        text = _median_of([end.seconds for end in back], len(ends), "found")
        harmed = median(end.harmed for end in back) if back else 0
        return f"{text}, {harmed:.0f} users" if back else text
    return f"{_median_of(whole, len(ends), 'all users')}; refused {percent(len(back) / len(ends))}"


def _median_of(seconds: Sequence[float], runs: int, what: str) -> str:
    share = f"{what} {percent(len(seconds) / runs)}"
    return f"{share}: {median(seconds):.0f} s" if seconds else share
