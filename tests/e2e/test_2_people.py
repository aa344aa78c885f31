"""What people do in the middle of a rollout: approve, abort, change their mind, lose the status."""

import time
from dataclasses import replace
from datetime import datetime

import pytest
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Outcome, Stage

from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed, highest_weight, promoted, refused
from tests.e2e.figures import Figures
from tests.e2e.objects import HELD, Model, step
from tests.kubectl import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("unharmed")]


def test_a_step_waits_for_approval_and_an_abort_ends_it(digits: Deployed) -> None:
    stable = serving(digits)
    steps = [step(25), step(50, approval=True, hold=HELD)]

    digits.apply(Model(version="approved", steps=steps))
    awaiting = digits.wait_for_stage(Stage.AWAITING_APPROVAL)
    assert awaiting.rollout is not None
    assert awaiting.rollout.acked_weight == 25

    approved = digits.act("approve")
    digits.wait_for_stage(Stage.PROGRESSING, 50)
    aborted = digits.act("abort")
    ended = digits.wait_for_end("approved")
    assert ended.outcome is Outcome.ABORTED

    digits.comes_to(refused(Outcome.ABORTED, stable=stable, why="Held"), "approved")
    done = {s.last_action.id: s.last_action.result for s in digits.seen if s.last_action}
    assert (done[approved], done[aborted]) == ("Done", "Done")


def test_an_action_that_makes_no_sense_is_refused_with_a_reason(digits: Deployed) -> None:
    asked = digits.act("approve")
    status = digits.wait_for(
        lambda status: status.last_action is not None and status.last_action.id == asked,
        "the action to be consumed",
    )
    assert status.last_action is not None
    assert status.last_action.result == "Refused: no step is waiting for approval"


def test_another_version_in_the_middle_of_a_rollout_takes_its_place(digits: Deployed) -> None:
    digits.apply(Model(version="overtaken", steps=[step(25, hold=HELD)]))
    digits.wait_for_stage(Stage.PROGRESSING, 25)
    digits.apply(Model(version="overtaking", file="digits-5.onnx"))
    assert digits.wait_for_end("overtaking").outcome is Outcome.PROMOTED
    digits.comes_to(promoted("overtaking"), "overtaking")
    history = {entry.version: entry.outcome for entry in digits.status.history}
    assert history["overtaken"] is Outcome.SUPERSEDED
    assert not any(shares_traffic(status) for status in digits.seen)


def test_a_return_to_the_stable_version_ends_a_rollout(digits: Deployed) -> None:
    digits.apply(Model(version="regretted", steps=[step(25, hold=HELD)]))
    digits.wait_for_stage(Stage.PROGRESSING, 25)
    digits.apply(Model(version="overtaking", file="digits-5.onnx"))
    assert digits.wait_for_end("regretted").outcome is Outcome.SUPERSEDED
    digits.comes_to(promoted("overtaking"), "overtaking")


def test_a_roll_back_to_an_earlier_version_goes_there_without_steps(digits: Deployed) -> None:
    before = digits.status
    assert before.stable is not None

    earlier = next(
        entry
        for entry in reversed(before.history)
        if entry.outcome is Outcome.PROMOTED and entry.revision != before.stable.revision
    )
    asked = digits.act(f"rollback={earlier.revision}")
    status = digits.wait_for(
        lambda status: status.stable is not None and status.stable.revision == earlier.revision,
        "the earlier version to serve",
    )

    assert status.last_action is not None
    assert (status.last_action.id, status.last_action.result) == (asked, "Done")
    assert status.history[-1].version == earlier.version
    assert str(status.history[-1].unjudged).startswith(f"rollback to {earlier.revision}")
    assert status.last_rollback is not None
    assert status.last_rollback.from_ == before.stable.revision

    digits.wait_for(
        lambda status: any(entry.reason == "Held" for entry in status.conditions),
        "the version in the spec to stay out",
    )
    digits.act("retry")
    digits.wait_for(
        lambda status: (
            status.stable is not None
            and before.stable is not None
            and status.stable.revision == before.stable.revision
        ),
        "the version in the spec to serve again",
    )
    digits.comes_to(
        replace(promoted(before.stable.version), outcomes=(Outcome.PROMOTED, Outcome.PROMOTED)),
        before.stable.version,
    )


def test_a_revert_gets_all_traffic_as_soon_as_its_pods_are_ready(
    digits: Deployed, figures: Figures
) -> None:
    for version in ("reverted-to", "reverted-from"):
        digits.apply(Model(version=version))
        digits.comes_to(promoted(version), version)
    left, committed = digits.status.stable, time.monotonic()
    digits.apply(Model(version="reverted-to"))
    status = digits.wait_for(
        lambda status: status.stable is not None and status.stable.version == "reverted-to",
        "the version that was promoted before to serve",
    )

    assert status.stable is not None
    figures.seconds["git revert, from the commit to 100%"] = time.monotonic() - committed
    pods = digits.pods(status.stable.revision)
    figures.seconds["  what its pods needed, to the second"] = seconds_to_ready(pods)
    assert status.history[-1].unjudged == "the way back to version reverted-to"
    assert status.last_rollback is not None
    assert left is not None
    assert status.last_rollback.from_ == left.revision


def test_a_lost_status_is_derived_anew_in_the_middle_of_a_rollout(digits: Deployed) -> None:
    digits.apply(Model(version="forgotten", steps=[step(25, hold=5), step(50)]))
    digits.wait_for_stage(Stage.PROGRESSING, 25)
    digits.lose_status()
    assert digits.wait_for_end("forgotten").outcome is Outcome.PROMOTED
    digits.comes_to(promoted("forgotten"), "forgotten")
    assert highest_weight(digits.seen, "forgotten") == 95


def test_a_lost_status_at_rest_starts_no_rollout(unharmed: Client, digits: Deployed) -> None:
    before = digits.status.stable
    assert before is not None
    pods = [pod["metadata"]["uid"] for pod in digits.pods(before.revision)]
    digits.lose_status()
    until(lambda: digits.status.stable is not None, "stable to be known again", 60)
    unharmed.sends_on()
    digits.comes_to(replace(promoted(before.version), outcomes=()), before.version)
    assert digits.stable_revision == before.revision
    assert [pod["metadata"]["uid"] for pod in digits.pods(before.revision)] == pods


def seconds_to_ready(pods: list[Manifest]) -> float:
    """Return the time from the creation of the first pod until the last one was ready."""
    made = min(datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in pods)
    ready = [
        datetime.fromisoformat(condition["lastTransitionTime"])
        for pod in pods
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    return (max(ready) - made).total_seconds()


def serving(deployed: Deployed) -> str:
    stable = deployed.status.stable
    assert stable is not None
    return stable.version


def shares_traffic(status: object) -> bool:
    """Tell whether the overtaken version still had traffic when the other one got its first."""
    candidate = getattr(status, "candidate", None)
    stable = getattr(status, "stable", None)
    if candidate is None or stable is None or candidate.version != "overtaking":
        return False
    return bool(candidate.weight) and candidate.weight + stable.weight != 100
