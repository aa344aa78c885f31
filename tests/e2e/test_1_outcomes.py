"""The four outcomes: served, promoted, refused before any user saw it, rolled back."""

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.e2e.clients import Client
from tests.e2e.deployed import Deployed, highest_weight, promoted, refused
from tests.e2e.objects import Model, step

pytestmark = pytest.mark.e2e


def test_first_version_is_served_by_its_service(client: Client, digits: Deployed) -> None:
    digits.comes_to(promoted("1"), "1")
    revision = digits.stable_revision
    client.sends_on()
    answered = {name for record in client.load.records() for name in record.revisions}
    assert answered == {revision}
    assert client.load.total.lost == 0


def test_a_version_is_a_container(digits: Deployed) -> None:
    stable = digits.status.stable
    assert stable is not None
    assert stable.digest is not None
    assert stable.image is not None
    images = {
        container["image"]
        for pod in digits.pods(stable.revision)
        for container in pod["spec"]["containers"]
    }
    assert images == {stable.image}
    assert "@sha256:" in stable.image


@pytest.mark.usefixtures("unharmed")
def test_better_version_is_promoted_through_its_steps(digits: Deployed) -> None:
    digits.apply(Model(version="2", golden=True))
    baking = digits.wait_for_stage(Stage.BAKING)
    assert baking.candidate is not None
    pods = uids(digits, baking.candidate.revision)
    ended = digits.wait_for_end("2")
    assert ended.outcome is Outcome.PROMOTED
    digits.comes_to(promoted("2"), "2")
    acknowledged = [s.rollout.acked_weight for s in digits.seen if s.rollout and s.candidate]
    assert sorted(set(acknowledged)) == [0, 25, 50, 95]
    assert acknowledged == sorted(acknowledged)
    assert uids(digits, baking.candidate.revision) == pods, "promotion is no reason to restart"


def test_shuffled_version_is_refused_before_any_user_saw_it(
    unharmed: Client, digits: Deployed
) -> None:
    digits.apply(Model(version="3", file="digits-3.onnx", golden=True))
    ended = digits.wait_for_end("3")
    assert ended.outcome is Outcome.REJECTED_BY_GOLDEN_SET
    digits.comes_to(refused(Outcome.REJECTED_BY_GOLDEN_SET, stable="2"), "3")
    assert "of 150" in ended.reason, "the message has the numbers"
    assert highest_weight(digits.seen, "3") == 0
    answered = {name for record in unharmed.load.records() for name in record.revisions}
    assert ended.revision not in answered


@pytest.mark.usefixtures("unharmed")
def test_version_that_is_good_enough_but_worse_than_stable_is_refused(digits: Deployed) -> None:
    digits.apply(Model(version="worse", file="digits-3.onnx", golden=True, min_agreement=0.01))
    ended = digits.wait_for_end("worse")
    assert ended.outcome is Outcome.REJECTED_BY_GOLDEN_SET
    assert ended.reason.startswith("GoldenSetRegressed: ")
    assert "worse, " in ended.reason, "the message has the discordant pairs"
    digits.comes_to(refused(Outcome.REJECTED_BY_GOLDEN_SET, stable="2"), "worse")
    assert highest_weight(digits.seen, "worse") == 0


@pytest.mark.usefixtures("unharmed")
def test_faulty_version_is_rolled_back_on_live_traffic(digits: Deployed) -> None:
    digits.apply(
        Model(
            version="4",
            file="digits-4.tar.gz",
            golden=True,
            steps=[step(25)],
            strict=True,
        )
    )
    ended = digits.wait_for_end("4")

    assert ended.outcome is Outcome.ROLLED_BACK

    digits.comes_to(refused(Outcome.ROLLED_BACK, stable="2"), "4")
    back = digits.status.last_rollback
    assert back is not None
    assert back.metric is not None
    assert back.metric.startswith(("errors", "latency"))
    assert back.traffic_restored_at is not None
    assert back.capacity_restored_at is not None
    assert highest_weight(digits.seen, "4") == 25


def uids(deployed: Deployed, revision: str) -> set[tuple[str, int]]:
    return {
        (pod["metadata"]["uid"], status["restartCount"])
        for pod in deployed.pods(revision)
        for status in pod["status"]["containerStatuses"]
    }
