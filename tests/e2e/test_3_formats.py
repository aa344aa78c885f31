"""Versions of more than one model."""

from dataclasses import replace

import pytest
from slipway.api.modeldeployment import Outcome

from tests.e2e.clients import Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow, refused
from tests.e2e.objects import Model

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("unharmed")]

RATE = 20.0
PIPELINE = Model(name="pipeline", version="1", warm_up=0)
"""Triton warms no ensemble up."""
COLD = {"warmUpSeconds": 15}
"""So the first requests of a step in Python are slow, which is not what is tried here."""


@pytest.fixture(scope="module")
def pipeline(follow: Follow) -> Deployed:
    """An ensemble of a step in Python and an ONNX network, in service."""
    deployed = follow("pipeline")
    deployed.apply(replace(PIPELINE, version="1", file="pipeline.tar.gz", golden=True))
    assert deployed.wait_for_end("1").outcome is Outcome.PROMOTED
    return deployed


def test_a_fault_in_the_first_step_of_an_ensemble_takes_the_whole_version_back(
    pipeline: Deployed, start_load: StartLoad
) -> None:
    candidate = replace(
        PIPELINE, version="2", file="failing-pipeline.tar.gz", strict=True, analysis=COLD
    )

    with start_load(Plan("pipeline", rate=RATE)):
        pipeline.apply(candidate)
        ended = pipeline.wait_for_end("2", 300)

    assert ended.outcome is Outcome.ROLLED_BACK
    assert ended.reason.startswith("ErrorRatio")
    pipeline.comes_to(refused(Outcome.ROLLED_BACK, stable="1"), "2")
