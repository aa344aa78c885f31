"""What others refuse or take away: one object says so, heals by itself, and delays nobody."""

from collections import Counter
from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.errors import (
    AdmissionDenied,
    ClusterUnavailable,
    Forbidden,
    SlipwayError,
    SpecError,
    WebhookUnavailable,
)

from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

NO_RIGHT = 'deployments.apps is forbidden: User "slipway" cannot create resource "deployments"'
NO_WEBHOOK = 'failed calling webhook "w": service "absent" not found'
TERMINATING = "unable to create new content in namespace vision because it is being terminated"


class Refuses(Trouble):
    """Refuses writes of a kind, until it is told to stop."""

    def __init__(self, error: SlipwayError | RuntimeError, **about: str) -> None:
        self.error = error
        self.about = about
        self.is_on = True
        self.refused = 0

    def before(self, write: Write) -> None:
        if self.is_on and all(getattr(write, key) == value for key, value in self.about.items()):
            self.refused += 1
            raise self.error


def troubled(trouble: Trouble) -> OperatorWorld:
    world = OperatorWorld()
    world.trouble = trouble
    world.start()
    return world


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (AdmissionDenied("exceeded quota: count/deployments.apps"), "Deployment", "Refused"),
        (WebhookUnavailable(NO_WEBHOOK), "Deployment", "WebhookUnavailable"),
        (AdmissionDenied(TERMINATING), "ControllerRevision", "Refused"),
        (AdmissionDenied("ValidatingAdmissionPolicy 'p' denied request"), "ModelRoute", "Refused"),
        (AdmissionDenied("exceeded quota: services"), "Service", "Refused"),
        (Forbidden(NO_RIGHT), "Deployment", "Forbidden"),
        (Forbidden(NO_RIGHT), "ControllerRevision", "Forbidden"),
        (ClusterUnavailable("etcdserver: request is too large"), "ControllerRevision", "Cluster"),
        (SpecError("spec.template.spec.affinity", "Invalid value"), "Deployment", "InvalidSpec"),
    ],
)
async def test_what_is_refused_is_said_with_its_cause_and_heals(
    error: SlipwayError, kind: str, reason: str
) -> None:
    trouble = Refuses(error, kind=kind)
    world = troubled(trouble)

    await world.ask_for("1")
    await world.live(90)
    is_passing = isinstance(error, ClusterUnavailable)
    claims = "Reconciling" if is_passing else "Stalled"
    status, said, message = world.condition(claims)

    assert (status, said[: len(reason)]) == ("True", reason)
    assert str(error) in message
    assert world.condition("Stalled" if is_passing else "Reconciling") == ("", "", "")
    assert world.condition("Ready")[0] == "False"

    before = [write for write in world.writes if write.verb == "status"]
    await world.live(120)
    assert [write for write in world.writes if write.verb == "status"] == before

    trouble.is_on = False
    await world.until(lambda: world.serving() == "1", 120)
    await world.settle()
    assert world.condition("Stalled") == ("", "", "")


LOST = [Forbidden(NO_RIGHT), WebhookUnavailable(NO_WEBHOOK), ClusterUnavailable("no answer")]


@pytest.mark.parametrize("error", LOST, ids=["right", "webhook", "server"])
async def test_what_serves_stays_available_while_the_operator_can_do_nothing(
    error: SlipwayError,
) -> None:
    world = OperatorWorld()

    await world.ask_for("1")
    await world.settle()
    world.operator.cluster.trouble = trouble = Refuses(error, verb="apply")
    world.delete(kinds.SERVICE)
    await world.live(60)

    assert world.condition("Available")[:2] == ("True", "Serving")
    assert world.condition("Ready")[0] == "False"
    assert str(error) in world.condition("Ready")[2]
    assert world.condition("Reconciling")[0] == "True"
    assert world.condition("Stalled") == ("", "", "")

    trouble.is_on = False
    await world.until(lambda: world.condition("Ready")[0] == "True", 60)
    assert world.condition("Reconciling") == ("", "", "")


async def test_a_refused_version_waits_for_a_person_though_the_operator_lost_a_right() -> None:
    world = OperatorWorld()

    await world.ask_for("1")
    await world.settle()
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.settle()
    verdict = world.condition("Stalled")

    assert verdict[1] == "RevisionRejected"

    world.operator.cluster.trouble = Refuses(Forbidden(NO_RIGHT), verb="apply")
    world.delete(kinds.SERVICE)
    await world.live(60)
    assert world.condition("Ready")[1] == "Forbidden"
    assert world.condition("Stalled") == verdict

    await world.act("retry")
    await world.live(60)
    assert world.condition("Stalled") == ("", "", ""), "a person has decided"

    await world.ask_for("3")
    await world.live(60)
    assert world.condition("Stalled") == ("", "", ""), "of another spec nothing is known yet"
    assert world.condition("Reconciling")[1] == "Forbidden"


async def test_where_the_status_itself_cannot_be_written_an_event_tells_it() -> None:
    trouble = Refuses(Forbidden(NO_RIGHT), verb="status")
    world = troubled(trouble)

    await world.ask_for("1")
    await world.live(60)

    assert world.status() == {}
    assert "Warning Forbidden" in world.operator.events.told

    trouble.is_on = False
    await world.until(lambda: world.condition("Ready")[0] == "True", 120)


async def test_a_router_pod_that_may_not_be_replaced_holds_up_nothing_that_was_decided() -> None:
    trouble = Refuses(Forbidden("pods is forbidden"), verb="delete", kind="Pod")
    world = troubled(trouble)
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2")
    await world.until(lambda: world.weights().get("2") == 10)

    world.controllers.deaf.add(world.proxies()[0]["metadata"]["uid"])
    await world.until(lambda: trouble.refused > 0, 200)
    await world.live(2)
    assert "pods is forbidden" in str(world.status()["conditions"])

    await world.act("abort")
    await world.live(90)

    assert world.weights()["1"] == 100
    assert world.stage() == "RollingBack"
    assert world.results["dependency"] == 0, "every pass ends with its status"


async def test_a_moment_without_rights_is_not_worth_a_word() -> None:
    trouble = Refuses(Forbidden(NO_RIGHT), kind="ControllerRevision")
    world = troubled(trouble)
    await world.ask_for("1")
    await world.live(5)
    trouble.is_on = False
    await world.until(lambda: world.serving() == "1", 60)
    assert "Forbidden" not in str(world.status())


async def test_a_router_that_is_refused_is_named_by_those_who_need_it() -> None:
    trouble = Refuses(AdmissionDenied("exceeded quota: deployments"), name=names.ROUTER_NAME)
    world = troubled(trouble)

    await world.ask_for("1")
    await world.live(60)
    status, _, message = world.condition("RouteProgrammed")
    assert status == "False"
    assert "exceeded quota: deployments" in message
    assert "exceeded quota: deployments" in world.condition("Ready")[2]

    trouble.is_on = False
    await world.until(lambda: world.serving() == "1", 180)
    await world.settle()
    assert world.condition("RouteProgrammed")[0] == "True"


async def test_a_job_that_gets_no_pod_is_named() -> None:
    world = OperatorWorld()
    world.controllers.starts_jobs = False
    unpinned: Any = {"source": {"uri": "https://models.example/1.onnx"}}
    await world.ask_for("1", model=unpinned)
    await world.live(30)
    _, reason, message = world.condition("Ready")
    assert reason == "JobHasNoPod"
    assert "digits-package-" in message
    world.controllers.starts_jobs = True
    await world.until(lambda: world.serving() == "1", 60)


@pytest.mark.parametrize("stage", ["package", "check"])
async def test_a_job_whose_pod_does_not_start_is_named_with_the_reason(stage: str) -> None:
    world = OperatorWorld()
    if stage == "check":
        await world.ask_for("1")
        await world.until(lambda: world.serving() == "1")
    world.controllers.missing_image = "pull access denied for slipway"

    unpinned: Any = {"source": {"uri": "https://models.example/2.onnx"}}
    await world.ask_for("2", model=unpinned if stage == "package" else {})
    await world.live(45)

    _, reason, message = world.condition("Ready")
    assert reason == "PodWaiting"
    assert f"the pod of Job digits-{stage}-" in message
    assert "ImagePullBackOff: pull access denied for slipway" in message


POISONS: dict[str, SlipwayError | RuntimeError] = {
    "a bug": RuntimeError("boom"),
    "no right": Forbidden(NO_RIGHT),
    "a quota": AdmissionDenied("exceeded quota"),
    "a wrong spec": SpecError("spec.x", "Invalid value"),
}


@pytest.mark.parametrize("poison", POISONS)
async def test_a_poisoned_object_among_ten_good_ones_delays_nobody(poison: str) -> None:
    trouble = Refuses(POISONS[poison], kind="ControllerRevision", name="")
    trouble.before = lambda write: poisoned(trouble, write)  # type: ignore[method-assign]
    world = troubled(trouble)
    world.operator.passes.results = Counter()  # bugs are the point here

    await world.ask_for("1", name="poison")
    for number in range(10):
        await world.ask_for("1", name=f"good-{number}")
    for _ in range(30):
        world.clock.pass_on(1)
        world.controllers.step()
        await world.operator.work(world._tell)
    served = [route for _, route in world.api.all(kinds.MODEL_ROUTE) if route["spec"]["backends"]]

    assert len(served) == 10
    assert 0 < trouble.refused < 40, "a poisoned object is backed off"

    told = world.find(kinds.MODEL_DEPLOYMENT, "poison")["status"]["conditions"]
    claims = "Reconciling" if isinstance(POISONS[poison], ClusterUnavailable) else "Stalled"
    [said] = [entry for entry in told if entry["type"] == claims]
    assert str(POISONS[poison]) in said["message"]

    trouble.is_on = False
    await world.live(120)
    route = world.api.get(kinds.MODEL_ROUTE, NAMESPACE, "poison")
    assert route is not None
    assert route["spec"]["backends"]


def poisoned(trouble: Refuses, write: Write) -> None:
    if trouble.is_on and write.kind == "ControllerRevision" and write.name.startswith("poison-"):
        trouble.refused += 1
        raise trouble.error


async def test_a_stored_object_that_its_own_schema_refuses_says_so_and_delays_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.fakes.api.TYPES", {})  # it was stored before there was a rule
    world = OperatorWorld()
    manifest = {
        **kinds.MODEL_DEPLOYMENT.type_meta,
        "metadata": {"name": "stored-long-ago", "namespace": NAMESPACE},
        "spec": {"model": {"version": "1", "source": {"uri": 7}}, "rollout": {"steps": "all"}},
    }
    world.api.create(manifest, manager="kubectl")
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1", 60)
    found = world.find(kinds.MODEL_DEPLOYMENT, "stored-long-ago")
    [condition] = found["status"]["conditions"]

    assert condition["reason"] == "InvalidSpec"
    assert "spec.model.source.uri" in condition["message"]


async def test_an_object_that_a_newer_operator_wrote_keeps_its_whole_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = OperatorWorld()
    await world.ask_for("1")
    await world.settle()
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.settle()
    before = world.status()
    assert before["rejected"]
    assert before["history"]

    monkeypatch.setattr("tests.fakes.api.TYPES", {})  # the newer operator's CRD allows it
    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"rollout": {"steps": "Automatic"}})
    await world.live(5)
    after = world.status()

    assert world.condition("Stalled")[:2] == ("True", "InvalidSpec")
    assert {**after, "conditions": 0, "observedGeneration": 0} == {
        **before,
        "conditions": 0,
        "observedGeneration": 0,
    }
    kept = [entry for entry in before["conditions"] if entry["type"] != "Stalled"]
    assert [entry for entry in after["conditions"] if entry["type"] != "Stalled"] == kept

    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"rollout": {"steps": [{"weight": 10}]}})
    await world.live(60)
    assert world.status()["rejected"] == before["rejected"]
    assert world.condition("Stalled")[1] != "InvalidSpec"
    assert world.serving() == "1"


@pytest.mark.parametrize(
    ("about", "scaling"),
    [
        ({"verb": "scale"}, {"minReplicas": 2, "maxReplicas": 8}),
        ({"kind": "PodDisruptionBudget"}, {"minReplicas": 2, "maxReplicas": 8}),
        ({"kind": "ControllerRevision"}, {"minReplicas": 2, "maxReplicas": 8}),
        ({"verb": "scale"}, {"minReplicas": 2}),
    ],
    ids=["replicas", "budget", "revision", "one size"],
)
async def test_what_is_refused_is_asked_for_twice_a_minute_also_where_the_load_is_followed(
    about: dict[str, str], scaling: Any
) -> None:
    trouble = Refuses(AdmissionDenied("exceeded quota"), **about)
    trouble.is_on = False
    world = troubled(trouble)
    world.controllers.concurrency = 8

    await world.ask_for("1", scaling=scaling)
    await world.until(lambda: world.serving() == "1")
    await world.live(60)
    trouble.is_on = True
    await world.ask_for("2", scaling={**scaling, "minReplicas": 3})
    await world.live(40)  # until the steps are over: a new weight is a reason to ask again
    trouble.refused = 0
    await world.live(120)

    assert 0 < trouble.refused <= 8

    trouble.is_on = False
    await world.until(lambda: world.serving() == "2", 240)


async def test_a_load_is_followed_while_something_beside_is_refused() -> None:
    trouble = Refuses(AdmissionDenied("exceeded quota"), kind="PodDisruptionBudget")
    trouble.is_on = False
    world = troubled(trouble)
    world.controllers.concurrency = 8

    await world.ask_for("1", scaling={"minReplicas": 1, "maxReplicas": 8})
    await world.until(lambda: world.serving() == "1")
    trouble.is_on = True
    await world.ask_for("1", scaling={"minReplicas": 2, "maxReplicas": 8})
    await world.live(90)

    assert trouble.refused

    world.controllers.concurrency = 32
    await world.live(5)
    assert max(item["spec"]["replicas"] for _, item in world.api.all(kinds.DEPLOYMENT)) == 8
