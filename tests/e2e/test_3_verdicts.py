"""Verdicts on real traffic: what is blamed on a candidate, and what never is.

All rollouts of this module run side by side, each with a small load of its own, because the one
whose fault begins after three minutes decides how long it takes anyway.
"""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from slipway.api.modeldeployment import (
    AnalysisStatus,
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    Stage,
)

from tests.e2e import clients
from tests.e2e.clients import Plan
from tests.e2e.deployed import Deployed, Follow, end_of, is_at
from tests.e2e.figures import Figures
from tests.e2e.objects import Model, step
from tests.kubectl import Kubectl
from tests.models.samples import LATE_SECONDS, Samples

pytestmark = pytest.mark.e2e

RATE = 15.0
"""Requests per second of each load: six of them share two cores."""
END_SECONDS = 300.0
NOISE = {"tolerance": {"absolute": 0.08}}
"""Six servers on two cores are slow now and then: that alone must decide nothing here."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A good version in service, and the one that is tried beside it."""

    name: str
    candidate: Model
    stable: str = "sound.tar.gz"
    has_traffic: bool = True

    def first(self) -> Model:
        """Return what serves before."""
        return replace(self.candidate, version="1", file=self.stable)


def trial(name: str, file: str, **more: object) -> Trial:
    """Return a trial at half of the traffic, judged for as long as it takes."""
    held = {"deadlineSeconds": 1200}
    candidate = Model(
        version="2",
        name=name,
        file=file,
        steps=[step(50, hold=600)],
        strict=True,
        rollout=held,
        analysis=NOISE,
    )
    return replace(Trial(name, candidate), **more)  # type: ignore[arg-type]


ERRORS = trial("errors", "failing.tar.gz")
SLOW = trial("slow", "slow.tar.gz")
LATE = trial("late-fault", "failing-late.tar.gz")
SHARED = trial("shared", "fears-white.tar.gz", stable="fears-white.tar.gz")
HUNG = trial("hung", "hanging.tar.gz")
SILENT = trial("silent", "sound.tar.gz", has_traffic=False)
TRIALS = (ERRORS, SLOW, LATE, SHARED, HUNG, SILENT)


@dataclass(slots=True)
class Trials:
    """The trials under way."""

    deployed: dict[str, Deployed] = field(default_factory=dict)

    def of(self, trial: Trial) -> Deployed:
        """Return the ModelDeployment of a trial."""
        return self.deployed[trial.name]

    def end(self, trial: Trial) -> HistoryEntry:
        """Wait for the end of what is tried."""
        return self.of(trial).wait_for_end(trial.candidate.version, END_SECONDS)


@pytest.fixture(scope="module")
def trials(
    follow: Follow, kubectl: Kubectl, figures: Figures, samples: Samples
) -> Iterator[Trials]:
    """All trials, with half of the traffic on what is tried."""
    trials = Trials({trial.name: follow(trial.name) for trial in TRIALS})

    for trial in TRIALS:
        trials.of(trial).apply(trial.first())
    for trial in TRIALS:
        trials.of(trial).wait_for_end("1")

    try:
        with ExitStack() as stack:
            for trial in TRIALS:
                if trial.has_traffic:
                    plan = Plan(trial.name, rate=RATE)
                    stack.enter_context(clients.running(kubectl, figures, plan, samples.load))
            for trial in TRIALS:
                trials.of(trial).apply(trial.candidate)
            yield trials
    finally:
        names = (trial.name for trial in TRIALS)
        kubectl.run("delete", "modeldeployment", *names, "-n", trials.of(SHARED).namespace)


def test_errors_are_found_and_counted(trials: Trials) -> None:
    ended = trials.end(ERRORS)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert metric_of(trials.of(ERRORS)) == "errors"
    assert re.search(r"\d+/[\d,]+ \(", ended.reason), "the numbers are in the sentence"


def test_slowness_is_found_without_a_single_error(trials: Trials) -> None:
    ended = trials.end(SLOW)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert (metric_of(trials.of(SLOW)) or "").startswith("latency")


def test_a_hung_candidate_is_no_silent_one(trials: Trials) -> None:
    ended = trials.end(HUNG)
    assert ended.outcome is Outcome.ROLLED_BACK


def test_without_traffic_nothing_is_decided(trials: Trials) -> None:
    deployed = trials.of(SILENT)
    status = deployed.wait_for(lambda status: bool(looks(status)), "a look at it")
    assert verdict_on("errors", status) == "NoData"
    deployed.stays(lambda status: is_at(status, Stage.PROGRESSING, 50), 10.0)
    assert verdict_on("errors", deployed.status) == "NoData"


def test_a_fault_of_both_is_no_fault_of_the_candidate(
    trials: Trials, kubectl: Kubectl, figures: Figures, samples: Samples
) -> None:
    deployed = trials.of(SHARED)
    deployed.wait_for_stage(Stage.PROGRESSING, 50)
    mostly_white = samples.load[:4].copy()
    mostly_white[1:] = 1
    plan = Plan(SHARED.name, rate=2 * RATE, suffix="-white")
    with clients.running(kubectl, figures, plan, mostly_white):
        status = deployed.wait_for(is_shared, "the fault of both to be recognised", 120)
        assert is_at(status, Stage.PROGRESSING, 50), "the weight is held"
        deployed.stays(lambda status: is_at(status, Stage.PROGRESSING, 50), 20.0)
    assert end_of(deployed.status, "2") is None


def test_a_fault_that_begins_after_three_minutes_is_found(trials: Trials) -> None:
    ended = trials.end(LATE)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert metric_of(trials.of(LATE)) == "errors"
    began = next(s for s in trials.of(LATE).seen if is_at(s, Stage.PROGRESSING, 50))
    assert began.rollout
    assert began.rollout.step_started_at
    step_began = datetime.fromisoformat(began.rollout.step_started_at).timestamp()
    assert time.time() - step_began > LATE_SECONDS / 2


def metric_of(deployed: Deployed) -> str | None:
    """Return the metric that the newest roll back names."""
    back = deployed.status.last_rollback
    return back.metric if back else None


def looks(status: ModelDeploymentStatus) -> list[AnalysisStatus]:
    """Return what the analysis says of each metric."""
    return status.rollout.analysis if status.rollout else []


def verdict_on(metric: str, status: ModelDeploymentStatus) -> str:
    """Return the verdict on a metric."""
    return next(entry.verdict for entry in looks(status) if entry.name == metric)


def is_shared(status: ModelDeploymentStatus) -> bool:
    """Tell whether the analysis sees a fault of both revisions."""
    return any(entry.reason == "SharedFault" for entry in looks(status))
