"""All candidate pods die at 50 % while no operator runs: the proxies help themselves."""

import time
from collections.abc import Iterator

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.e2e.clients import Client, ask_candidate
from tests.e2e.deployed import Deployed, refused
from tests.e2e.figures import Figures
from tests.e2e.objects import HELD, Model, step
from tests.e2e.operators import REPLICAS, Operators
from tests.kubectl import Kubectl, until

pytestmark = pytest.mark.e2e

POISON = -1.0


@pytest.fixture
def no_operator(operators: Operators) -> Iterator[Operators]:
    """For tests that stop the operator; it runs again at the end."""
    yield operators
    operators.scale(REPLICAS)


def test_proxies_fail_over_by_themselves_and_the_operator_rolls_back_later(
    client: Client,
    digits: Deployed,
    no_operator: Operators,
    kubectl: Kubectl,
    figures: Figures,
) -> None:
    stable = digits.status.stable
    assert stable is not None

    digits.apply(Model(version="poisoned", file="poisoned.tar.gz", steps=[step(50, hold=HELD)]))
    status = digits.wait_for_stage(Stage.PROGRESSING, 50)
    assert status.candidate is not None

    candidate = status.candidate.revision
    no_operator.scale(0)
    died, before = time.time(), client.load.total
    until(lambda: poison(kubectl, digits, candidate) == 1, "the candidate's end", 30)
    until(lambda: weights_in_force(digits, candidate) == {0}, "the proxies' fail-over", 30)
    over = time.time()
    client.sends_on(3.0)

    assert sum(record.counts.lost for record in client.records_since(over + 1)) == 0

    figures.seconds["crash of the candidate to fail-over at all proxies"] = over - died
    figures.lost_to_crashes = client.load.total.minus(before).lost
    with client.loses_nothing():
        until(lambda: poison(kubectl, digits, candidate) == 2, "its second end", 90)
        no_operator.scale(REPLICAS)
        ended = digits.wait_for_end("poisoned")

    assert ended.outcome is Outcome.ROLLED_BACK
    assert ended.reason.startswith("Crashing: ")

    digits.comes_to(refused(Outcome.ROLLED_BACK, stable=stable.version), "poisoned")


def weights_in_force(deployed: Deployed, revision: str) -> set[int]:
    """Return the weights that the proxies say they give a revision."""
    proxies = deployed.route()["status"]["proxies"]
    return {proxy["effectiveWeights"].get(revision, 0) for proxy in proxies}


def poison(kubectl: Kubectl, deployed: Deployed, revision: str) -> int:
    """Poison the candidate if it answers; return how often its server has ended."""
    ask_candidate(kubectl, deployed.name, POISON)
    ends = [
        status["restartCount"] + ("running" not in status["state"])
        for pod in deployed.pods(revision)
        for status in pod["status"]["containerStatuses"]
    ]
    return int(max(ends))
