"""A short soak: good and bad versions at once, while operators, routers and API server fail.

The long one is `make soak`; this one has the same clients, disturbances and accounting.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from slipway.api.modeldeployment import Outcome

from tests.e2e.clients import Plan, StartLoad
from tests.e2e.deployed import Follow
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.operators import Operators
from tests.kubectl import Kubectl
from tests.soak.course import RATES, SOUND, Soaked, soaking
from tests.soak.table import is_sound, render
from tests.soak.tally import Tally

pytestmark = pytest.mark.e2e

NAMES = ("soaked-1", "soaked-2")
PACE = 3.0
"""Operators are killed 7 s after the last ones were ready: often enough for two rollouts."""


@pytest.fixture
def soaked(follow: Follow, start_load: StartLoad, kubectl: Kubectl) -> Iterator[list[Soaked]]:
    """Two models in service, each with a client of every protocol."""

    def serve(name: str) -> Soaked:
        deployed = follow(name)
        first = Model(name=name, version="first", file=SOUND, mode="Fetch")
        deployed.apply(first)
        deployed.wait_for_end(first.version)
        loads = {
            wire: clients.enter_context(
                start_load(Plan(name, wire=wire, rate=rate, suffix=f"-{wire.lower()}"))
            ).load
            for wire, rate in RATES.items()
        }
        return Soaked(deployed, first, loads)

    with ExitStack() as clients, ThreadPoolExecutor(len(NAMES)) as pool:
        yield list(pool.map(serve, NAMES))
    kubectl.run("delete", "modeldeployment", *NAMES, "-n", NAMESPACE, "--wait=false")


def test_versions_end_as_they_have_to_and_nothing_is_lost_whatever_is_killed_meanwhile(
    soaked: list[Soaked], killable: Operators, kubectl: Kubectl
) -> None:
    tally = Tally()
    with soaking(kubectl, NAMESPACE, soaked, tally, lambda _: None, pace=PACE) as soak:
        soak.run([Outcome.PROMOTED, Outcome.ROLLED_BACK], until=math.inf)
    killable.wait_ready()
    print(render(tally))

    assert is_sound(tally), render(tally)
    assert tally.count(Outcome.PROMOTED) == tally.count(Outcome.ROLLED_BACK) == 1
    assert {"leader killed", "router pod deleted"} <= {event.what for event in tally.events}
