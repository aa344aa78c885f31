"""A short soak: what `make soak` does for an hour, of one good and one bad version side by side."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from slipway.api.modeldeployment import Outcome

from tests.e2e.clients import Plan, StartLoad
from tests.e2e.deployed import Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.operators import Operators
from tests.kubectl import Kubectl
from tests.soak.course import RATES, SOUND, Soaked, soaking
from tests.soak.table import is_sound, render
from tests.soak.tally import Tally

pytestmark = pytest.mark.e2e

NAMES = ("soaked-1", "soaked-2")
VERSIONS = (Outcome.PROMOTED, Outcome.ROLLED_BACK)
PACE = 2.0
"""Disturbances come twice as often as in a long soak."""
LONGEST_SECONDS = 600.0


@pytest.fixture
def soaked(
    follow: Follow, killable: Operators, kubectl: Kubectl, start_load: StartLoad
) -> Iterator[list[Soaked]]:
    """Models in service, each with a client of every protocol."""
    firsts = [Model(name=name, version="1", file=SOUND, mode="Fetch") for name in NAMES]
    followed = [follow(name) for name in NAMES]
    for deployed, first in zip(followed, firsts, strict=True):
        deployed.apply(first)

    try:
        with ExitStack() as stack:
            models = []
            for deployed, first in zip(followed, firsts, strict=True):
                deployed.wait_for_end(first.version)
                clients = {
                    wire: stack.enter_context(start_load(plan))
                    for wire, rate in RATES.items()
                    for plan in [
                        Plan(deployed.name, wire=wire, rate=rate, suffix=f"-{wire.lower()}")
                    ]
                }
                loads = {wire: client.load for wire, client in clients.items()}
                models.append(Soaked(deployed, first, loads))
            yield models
            killable.wait_ready()
    finally:
        kubectl.run("delete", "modeldeployment", *NAMES, "-n", NAMESPACE, "--ignore-not-found")


def test_good_and_bad_versions_end_as_they_should_whatever_is_killed_stopped_or_slowed(
    soaked: list[Soaked], kubectl: Kubectl, figures: Figures
) -> None:
    tally = Tally()
    with soaking(kubectl, NAMESPACE, soaked, tally, lambda _: None, pace=PACE) as soak:
        soak.run(VERSIONS, time.monotonic() + LONGEST_SECONDS)

    assert is_sound(tally), render(tally)
    assert len(tally.ended) == len(VERSIONS)
    assert len({event.what for event in tally.events}) >= 3, render(tally)
    took = [way.known_seconds for way in tally.backs if way.known_seconds is not None]
    figures.seconds["soak: the slowest way back, from the decision on"] = max(took)
