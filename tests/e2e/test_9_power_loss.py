"""The node loses its power in the middle of a rollout: the final state counts."""

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.cluster import clone, settings
from tests.demo.prepare import run_module
from tests.e2e.clients import Client, Plan, StartLoad, ask_candidate
from tests.e2e.deployed import Deployed, promoted
from tests.e2e.objects import Model, step
from tests.e2e.operators import Operators
from tests.kubectl import Kubectl, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def single_node() -> None:
    if (clone.description(settings.CLONE) or {}).get("kind") != "single-node":
        pytest.skip("only the single node of our own may lose its power")


@pytest.mark.usefixtures("single_node")
def test_a_rollout_goes_on_where_the_power_left_it(
    client: Client,
    digits: Deployed,
    operators: Operators,
    kubectl: Kubectl,
    start_load: StartLoad,
) -> None:
    digits.apply(Model(version="powerless", steps=[step(25, hold=5), step(50)]))
    digits.wait_for_stage(Stage.PROGRESSING, 25)
    client.is_gone = True
    run_module("tests.cluster", "power-loss")
    operators.wait_ready()
    until(lambda: ask_candidate(kubectl, digits.name).startswith("200 "), "an answer", 120)
    with start_load(Plan(digits.name, suffix="-again")):
        assert digits.wait_for_end("powerless", 300).outcome is Outcome.PROMOTED
        digits.comes_to(promoted("powerless"), "powerless")
