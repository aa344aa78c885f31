"""SIGKILL of both operator replicas in every stage: the end is the same as without."""

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.e2e.deployed import Deployed, is_at, promoted, refused
from tests.e2e.objects import Model, step
from tests.e2e.operators import Operators

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("quiet", "unharmed")]

HOLD = 10
"""Seconds in which a stage that was seen is still there when the operators die: far more than it
takes. What follows is waited for by nobody, so it need not be longer than a change of leaders."""
TRIES = 4
"""Versions that are rolled back, until operators die on the way."""
FORWARD: list[tuple[Stage, int | None]] = [
    (Stage.PACKAGING, None),
    (Stage.STARTING, None),
    (Stage.CHECKING, None),
    (Stage.PROGRESSING, 25),
    (Stage.PROGRESSING, 50),
    (Stage.BAKING, None),
]


def kill_at(
    deployed: Deployed, operators: Operators, stage: Stage, weight: int | None = None
) -> bool:
    """Kill both replicas the moment that the rollout is seen in a stage, and put others there.

    Returns whether it was still in the stage when they were dead.
    """
    victims = operators.processes()
    assert len(victims) == 2
    deployed.wait_for_stage(stage, weight)
    operators.kill(victims)
    was_there = is_at(deployed.status, stage, weight)
    operators.replace()
    return was_there


def test_a_rollout_whose_operators_are_killed_in_every_stage_ends_the_same(
    digits: Deployed, killable: Operators
) -> None:
    digits.apply(
        Model(
            version="killed",
            golden=True,
            steps=[step(25, hold=HOLD), step(50, hold=HOLD)],
            bake_seconds=HOLD,
        )
    )
    for stage, weight in FORWARD:
        assert kill_at(digits, killable, stage, weight), f"{stage} was over before the kill"

    assert digits.wait_for_end("killed").outcome is Outcome.PROMOTED

    digits.comes_to(promoted("killed"), "killed")


def test_a_roll_back_whose_operators_are_killed_ends_the_same(
    digits: Deployed, killable: Operators
) -> None:
    stable = digits.status.stable
    assert stable is not None
    # Traffic is back tenths of a second after the decision: now and then before the kill.
    for number in range(TRIES):
        version = f"killed-back-{number}"
        digits.apply(Model(version=version, file="digits-4.tar.gz", steps=[step(25)], strict=True))
        was_there = kill_at(digits, killable, Stage.ROLLING_BACK)
        assert digits.wait_for_end(version).outcome is Outcome.ROLLED_BACK
        digits.comes_to(refused(Outcome.ROLLED_BACK, stable=stable.version), version)
        if was_there:
            return
    pytest.fail("no operator died while traffic was on its way back")
