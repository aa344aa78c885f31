"""Kayenta's NetflixACAJudge: a Mann-Whitney U test per metric on minute values, then a score.

High when the 98% confidence interval of the Hodges-Lehmann shift lies above a quarter of the
estimate. Critical metrics that are not Pass make the score 0; direction Increase; NaN strategy
`remove`. It is asked every ten minutes on all that it has, beside a baseline of the same size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

from tests.bench.analysis.arrivals import TICK, Counts
from tests.bench.analysis.simulate import CANDIDATE, Run

Values = NDArray[np.float64]
TOLERANCE = 0.25
CONFIDENCE = 0.98
LOOKS = (10, 20, 30, 40, 50, 60)
"""Minutes."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Hodges-Lehmann estimate of experiment minus control, and its confidence interval."""

    lower: float
    estimate: float
    upper: float


def rank_z(shift: float, experiment: Values, control: Values) -> float:
    """Return the continuity- and tie-corrected z of the rank sum, `shift` taken off."""
    ranks = rankdata(np.concatenate([experiment - shift, control]))
    m, n = len(experiment), len(control)
    ties = np.unique(ranks, return_counts=True)[1].astype(float)
    distance = ranks[:m].sum() - m * (m + 1) / 2 - m * n / 2
    tied = (ties**3 - ties).sum() / ((m + n) * (m + n - 1))
    variance = m * n / 12 * (m + n + 1 - tied)
    if variance <= 0:
        raise ValueError("cannot compute a confidence interval when all observations are tied")
    return float((distance - np.sign(distance) / 2) / np.sqrt(variance))


def shift_of(experiment: Values, control: Values, confidence: float = CONFIDENCE) -> Shift:
    """Return the shift, by the root search of R's wilcox.test(exact = FALSE, conf.int = TRUE)."""
    least = float(experiment.min() - control.max())
    most = float(experiment.max() - control.min())

    def root(z: float) -> float:
        if rank_z(least, experiment, control) - z <= 0:
            return least
        if rank_z(most, experiment, control) - z >= 0:
            return most
        found = brentq(
            lambda shift: rank_z(shift, experiment, control) - z,
            least,
            most,
            xtol=1e-4 * max(abs(most - least), 1e-9),
        )
        return float(found)

    z = NormalDist().inv_cdf(1 - (1 - confidence) / 2)
    return Shift(root(z), root(0.0), root(-z))


def classify(
    experiment: Values,
    control: Values,
    *,
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
) -> str:
    """Return Pass, High, Low or Nodata."""
    experiment = experiment[np.isfinite(experiment)]
    control = control[np.isfinite(control)]

    if not len(experiment) or not len(control):
        return "Nodata"
    if np.array_equal(np.sort(experiment), np.sort(control)):
        return "Pass"
    if len(np.unique(np.concatenate([experiment, control]))) == 1:
        return "Pass"

    try:
        if abs(rank_z(0, experiment, control)) <= NormalDist().inv_cdf(1 - (1 - confidence) / 2):
            return "Pass"  # the interval holds zero: saves the root search
        shift = shift_of(experiment, control, confidence)
    except ValueError:
        return "Error"

    if shift.lower > tolerance * abs(shift.estimate):
        return "High"
    if shift.upper < -tolerance * abs(shift.estimate):
        return "Low"
    return "Pass"


def score(labels: Mapping[str, Sequence[str]], weights: Mapping[str, float]) -> float:
    """Return the summary score of groups of labels: weighted share of Pass, without data 100.

    A group without a weight gets an equal part of what the others leave of 100.
    """
    rest = [name for name in labels if name not in weights]
    share = (100 - sum(weights.values())) / len(rest) if rest else 0.0
    total = 0.0
    for name, group in labels.items():
        counted = [label for label in group if label in {"Pass", "High", "Low"}]
        passed = counted.count("Pass") / len(counted) if counted else 1.0
        total += 100 * passed * weights.get(name, share) / 100
    return total


@dataclass(frozen=True, slots=True)
class Kayenta:
    """Error ratio and mean latency, both critical: High in one ends the canary."""

    name: str = "Kayenta"
    metrics: tuple[str, ...] = ("errors", "latency")

    def stops(self, run: Run) -> int:
        """Return the tick at which it fails the canary, -1 if it never does."""
        series = [self._minutes(run, metric) for metric in self.metrics]
        for minutes in LOOKS:
            if minutes * 60 > run.scenario.seconds:
                break
            labels = [classify(a[:minutes], b[:minutes]) for a, b in series]
            if "High" in labels:
                return minutes * 60 // TICK - 1
        return -1

    def _minutes(self, run: Run, metric: str) -> tuple[Values, Values]:
        requests, errors = run.of(CANDIDATE)
        beside, bad = run.baseline
        if metric == "errors":
            return ratio(errors, requests), ratio(bad, beside)
        sums = run.mean_millis * np.stack([requests, beside], 1)
        sums = np.nan_to_num(sums)
        return ratio(sums[:, 0], requests), ratio(sums[:, 1], beside)


def ratio(parts: Counts | Values, wholes: Counts) -> Values:
    """Return one value per minute; NaN where there was nothing."""
    per = 60 // TICK
    part = parts.reshape(-1, per).sum(1).astype(float)
    whole = wholes.reshape(-1, per).sum(1).astype(float)
    values: Values = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return values
