"""A candidate exactly as bad as a promotion must rule out: how often it passes all the same."""

from dataclasses import dataclass

from slipway.api.modeldeployment import Tolerance

from tests.bench.analysis.ours import Slipway, next_weight
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.seeds import seed_of
from tests.bench.analysis.simulate import simulate
from tests.bench.analysis.store import Run

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
    for rate, stable in ((1.0, 0.01), (10.0, 0.01), (100.0, 0.001))
    for weight in (5, 25, 50)
]


def pass_wrongly(margin: Margin, number: int) -> Run:
    """Return whether one run passed within the hour."""
    scenario = Scenario(
        margin.name,
        margin.rps,
        stable=margin.stable,
        candidate=margin.candidate,
        weight=margin.weight / 100,
    )
    rng = seed_of(scenario.name, number)
    return {"passed": Slipway().verdict(simulate(scenario, rng), rng, until_pass=True).passed >= 0}
