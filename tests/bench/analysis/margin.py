"""A candidate exactly as bad as a promotion must rule out: how often it passes all the same."""

from dataclasses import dataclass

from slipway.api.modeldeployment import Tolerance

from tests.bench.analysis.measure import seeds
from tests.bench.analysis.ours import Slipway, next_weight
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.simulate import simulate

MAX_HARM = 0.01
"""The service-wide excess error ratio that a promotion rules out."""


@dataclass(frozen=True, slots=True)
class Margin:
    """A rate, a weight and stable's error ratio."""

    rps: float
    weight: int
    stable: float

    @property
    def candidate(self) -> float:
        """Error ratio at the margin of the next weight."""
        relative = Tolerance().relative
        return (1 + relative) * self.stable + MAX_HARM / (next_weight(self.weight) / 100)

    @property
    def name(self) -> str:
        return f"{self.rps:g} rps at {self.weight} %, {self.stable:.2g} → {self.candidate:.3g}"


MARGINS = [
    Margin(rate, weight, stable)
    for rate in (1.0, 10.0, 100.0)
    for weight in (5, 25, 50)
    for stable in (0.001, 0.01)
]


def wrong_promotions(task: tuple[Margin, int]) -> tuple[Margin, int, int]:
    """Return how many of so many runs passed."""
    margin, runs = task
    scenario = Scenario(
        margin.name,
        margin.rps,
        stable=margin.stable,
        candidate=margin.candidate,
        weight=margin.weight / 100,
    )
    passed = 0
    for rng in seeds(scenario.name, runs):
        verdict = Slipway().verdict(simulate(scenario, rng), rng, until_pass=True)
        passed += verdict.passed >= 0
    return margin, passed, runs
