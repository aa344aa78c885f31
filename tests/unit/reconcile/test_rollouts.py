"""Whole rollouts by the real passes: what users see, and what is written for it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.errors import AdmissionDenied

from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

GOLDEN: dict[str, Any] = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}


async def promoted(version: str = "1", **spec: Any) -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for(version, **spec)
    await world.until(lambda: world.serving() == version)
    await world.settle()
    return world


async def test_the_first_version_serves_with_all_that_belongs_to_it() -> None:
    world = await promoted()
    revision = world.status()["stable"]["revision"]
    assert world.names(kinds.SERVICE) == ["digits", f"digits-{revision}"]
    assert world.names(kinds.DEPLOYMENT) == [f"digits-{revision}", names.ROUTER_NAME]
    assert world.names(kinds.CONTROLLER_REVISION) == [f"digits-{revision}"]
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Reconciling") == ("", "", "")
    assert world.outcomes() == [("1", "Promoted")]


async def test_a_good_version_is_promoted_and_the_old_one_leaves_without_a_lost_request() -> None:
    world = await promoted(scaling={"minReplicas": 3})
    old = world.status()["stable"]["revision"]
    await world.ask_for("2", scaling={"minReplicas": 3})
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    new = world.status()["stable"]["revision"]
    assert world.weights() == {"2": 100}
    assert world.find(kinds.DEPLOYMENT, f"digits-{new}")["spec"]["replicas"] == 3
    assert world.find(kinds.DEPLOYMENT, f"digits-{old}")["spec"]["replicas"] == 0
    assert world.names(kinds.JOB) == []
    assert not world.controllers.lost


async def test_revisions_of_two_replicas_have_a_disruption_budget_while_they_run() -> None:
    two: dict[str, Any] = {"scaling": {"minReplicas": 2}}
    world = await promoted(**two)
    old = f"digits-{world.status()['stable']['revision']}"
    budgets = kinds.POD_DISRUPTION_BUDGET
    assert world.names(budgets) == [old, names.ROUTER_NAME]

    await world.ask_for("2", **two)
    await world.until(lambda: world.stage() == "Baking")
    assert len(world.names(budgets)) == 3

    await world.until(lambda: world.serving() == "2")
    await world.settle()
    new = f"digits-{world.status()['stable']['revision']}"
    assert world.names(budgets) == [new, names.ROUTER_NAME]

    world.delete(budgets, new)
    await world.live(5)
    assert new in world.names(budgets), "it is made anew"

    world.api.witness = lambda _change: None  # the user takes the capacity away, not we
    await world.ask_for("2", scaling={"minReplicas": 1})
    await world.settle()
    assert world.names(budgets) == [names.ROUTER_NAME]


async def test_a_version_that_fails_the_golden_set_gets_no_request() -> None:
    world = await promoted()
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", **GOLDEN)
    await world.settle()
    assert world.serving() == "1"
    assert world.outcomes()[-1] == ("2", "RejectedByGoldenSet")
    assert world.condition("Stalled")[:2] == ("True", "RevisionRejected")
    assert "3 of 50" in world.condition("Ready")[2]
    refused = world.status()["rejected"][0]["revision"]
    assert not any(key[3] == refused for key in world.controllers.served)
    assert not world.controllers.lost


def shown_cases(world: OperatorWorld) -> list[str] | None:
    """Return the names of the cases in the status; None: it has none."""
    [entry] = world.status()["rollout"]["analysis"]
    cases = entry.get("disagreements")
    return None if cases is None else [case["name"] for case in cases]


def hidden() -> dict[str, Any]:
    return {"model": {"goldenSet": {**GOLDEN["model"]["goldenSet"], "showCases": False}}}


async def test_the_cases_that_disagree_stay_until_somebody_hides_them() -> None:
    world = await promoted()
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", **GOLDEN)
    await world.settle()
    assert shown_cases(world) == ["2", "5"]

    await world.live(600)
    assert shown_cases(world) == ["2", "5"]

    await world.ask_for("2", **hidden())
    await world.settle()
    assert shown_cases(world) is None
    assert world.outcomes().count(("2", "RejectedByGoldenSet")) == 1, "nothing is asked anew"
    assert world.condition("Stalled")[:2] == ("True", "RevisionRejected")


async def test_a_check_that_is_to_hide_its_cases_reports_none() -> None:
    world = await promoted()
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", **hidden())
    await world.settle()

    assert shown_cases(world) is None
    assert "3 of 50" in world.condition("Ready")[2]


async def test_a_check_gets_the_time_that_the_golden_set_names_and_every_address() -> None:
    world = await promoted()
    golden = {"goldenSet": {"uri": "https://models.example/golden.tar", "timeoutSeconds": 1200}}

    await world.ask_for("2", model=golden)
    await world.until(lambda: bool(check_jobs(world)))
    [job] = check_jobs(world)
    [variable] = job["spec"]["template"]["spec"]["containers"][0]["env"]
    request = json.loads(variable["value"])

    assert request["timeoutSeconds"] == 1200
    assert job["spec"]["activeDeadlineSeconds"] > 1200
    assert request["stableHttp"].endswith(":8000")
    assert request["stableGrpc"] == request["stableHttp"].replace(":8000", ":8001")


def check_jobs(world: OperatorWorld) -> list[Any]:
    return [job for _, job in world.api.all(kinds.JOB) if "-check-" in job["metadata"]["name"]]


async def test_a_version_that_answers_with_errors_is_rolled_back_and_stays_out() -> None:
    world = await promoted()
    world.controllers.faults["2"] = "errors"

    await world.ask_for("2")
    await world.until(lambda: world.outcomes()[-1] == ("2", "RolledBack"))
    await world.settle()
    bad = world.status()["lastRollback"]["from"]

    assert world.serving() == "1"
    assert world.status()["lastRollback"]["metric"] == "errors"
    assert world.find(kinds.DEPLOYMENT, f"digits-{bad}")["spec"]["replicas"] == 0
    assert world.find(kinds.CONTROLLER_REVISION, f"digits-{bad}")["metadata"]["annotations"][
        names.ANNOTATION_OUTCOME
    ].startswith("RolledBack@")
    assert not world.controllers.lost


async def test_a_newer_version_takes_the_place_of_a_candidate() -> None:
    world = await promoted()
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: world.weights().get("2") == 10)
    await world.ask_for("3")
    await world.until(lambda: world.serving() == "3")
    await world.settle()
    assert world.outcomes() == [("1", "Promoted"), ("2", "Superseded"), ("3", "Promoted")]
    assert not world.controllers.lost


async def test_the_spec_back_at_stable_takes_the_candidate_away() -> None:
    world = await promoted()
    await world.ask_for("2", rollout={"bakeSeconds": 600})
    await world.until(lambda: world.stage() == "Baking")
    await world.ask_for("1")
    await world.settle()
    assert world.weights() == {"1": 100}
    assert world.outcomes()[-1] == ("2", "Superseded")
    assert world.condition("Ready")[0] == "True"


async def test_an_object_that_is_made_anew_waits_until_the_old_ones_children_are_gone() -> None:
    world = await promoted()
    old = {item["metadata"]["uid"] for _, item in world.api.all()}

    world.delete(kinds.MODEL_DEPLOYMENT)
    await world.ask_for("1")  # the garbage is collected only when the clock goes on
    left = {item["metadata"]["uid"] for _, item in world.api.all()}
    assert left - old == {world.find(kinds.MODEL_DEPLOYMENT)["metadata"]["uid"]}
    assert world.condition("Stalled") == ("", "", "")

    await world.until(lambda: world.serving() == "1")
    await world.settle()
    uid = world.find(kinds.MODEL_DEPLOYMENT)["metadata"]["uid"]
    route = world.find(kinds.MODEL_ROUTE)
    assert [ref["uid"] for ref in route["metadata"]["ownerReferences"]] == [uid]
    assert world.outcomes() == [("1", "Promoted")]


async def test_a_deleted_object_takes_everything_along() -> None:
    world = await promoted()
    world.delete(kinds.MODEL_DEPLOYMENT)
    await world.settle()
    assert list(world.api.all()) == []


async def test_a_roll_back_to_an_earlier_version_loses_no_request() -> None:
    world = await promoted(scaling={"minReplicas": 3})
    old = world.status()["stable"]["revision"]

    await world.ask_for("2", scaling={"minReplicas": 3})
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    await world.act(f"rollback={old}")
    await world.until(lambda: world.serving() == "1", 60)
    await world.settle()

    assert world.status()["stable"]["revision"] == old
    assert world.find(kinds.DEPLOYMENT, f"digits-{old}")["spec"]["replicas"] == 3
    assert world.condition("Stalled")[:2] == ("True", "Held")
    assert not world.controllers.lost

    before = len(world.writes)
    world.start()
    await world.settle()
    assert len(world.writes) == before, "neither a restart nor the old annotation does it again"


async def test_a_lost_status_is_found_again() -> None:
    world = await promoted()
    await world.ask_for("2", rollout={"bakeSeconds": 60})
    await world.until(lambda: world.stage() == "Progressing" and world.weights().get("2") == 10)
    world.api.put_status(
        kinds.MODEL_DEPLOYMENT, world.find(kinds.MODEL_DEPLOYMENT), {"observedGeneration": 0}
    )
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    assert world.status()["stable"]["version"] == "2"
    assert not world.controllers.lost


def is_of_a_revision(item: dict[str, Any]) -> bool:
    return names.LABEL_REVISION in item["metadata"].get("labels", {})


async def test_old_revisions_beyond_the_limit_go_and_the_serving_one_stays() -> None:
    world = await promoted()
    for version in "2345":
        await world.ask_for(version, rollback={"historyLimit": 2})
        await world.until(lambda: world.serving() == version)  # noqa: B023 -- awaited at once
    await world.settle()
    kept = [item["data"]["version"] for _, item in world.api.all(kinds.CONTROLLER_REVISION)]
    assert sorted(kept) == ["3", "4", "5"]
    assert world.serving() == "5"
    for kind in (kinds.DEPLOYMENT, kinds.SERVICE):
        left = [item for _, item in world.api.all(kind) if is_of_a_revision(item)]
        assert len(left) == len(kept), kind.kind


async def test_no_revision_is_deleted_on_what_a_late_cache_says() -> None:
    world = await promoted()
    for version in "23":
        await world.ask_for(version)
        await world.until(lambda: world.serving() == version)  # noqa: B023 -- awaited at once
    await world.settle()

    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"rollback": {"historyLimit": 1}})
    known = world.api.watch.popleft()
    world.change(kinds.MODEL_DEPLOYMENT, "digits", metadata={"asked": "for another revision"})
    world.operator.hear(known)
    await world.operator.work(lambda: None)

    assert len(world.names(kinds.CONTROLLER_REVISION)) == 3

    await world.live(30)
    assert len(world.names(kinds.CONTROLLER_REVISION)) == 2
    assert world.serving() == "3"


async def test_a_weight_that_not_every_proxy_has_is_never_raised() -> None:
    world = await promoted()

    await world.ask_for("2")
    await world.until(lambda: world.weights().get("2") == 10)
    world.controllers.deaf.update(pod["metadata"]["uid"] for pod in world.proxies())
    await world.live(120)
    assert world.weights() in ({"1": 90, "2": 10}, {"1": 50, "2": 50})

    status, _, message = world.condition("RouteProgrammed")
    assert status == "False"
    assert names.ROUTER_NAME in message

    world.controllers.deaf.clear()
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    assert not world.controllers.lost


async def test_a_proxy_that_stays_silent_while_another_answers_is_replaced() -> None:
    world = await promoted()
    silent, other = world.proxies()
    world.controllers.deaf.add(silent["metadata"]["uid"])
    await world.ask_for("2", rollout={"steps": [{"weight": 10}], "deadlineSeconds": 600})
    await world.live(25)
    assert world.weights() == {"1": 100, "2": 0}
    await world.until(lambda: world.serving() == "2")
    uids = {pod["metadata"]["uid"] for pod in world.proxies()}
    assert silent["metadata"]["uid"] not in uids
    assert other["metadata"]["uid"] in uids


async def test_a_proxy_that_serves_on_without_its_agent_is_named_awaited_and_replaced() -> None:
    world = await promoted()
    await world.ask_for("2", rollout={"steps": [{"weight": 10}]})
    await world.until(lambda: world.weights().get("2") == 10)
    await world.until(lambda: world.condition("RouteProgrammed")[0] == "True")
    stopped, other = world.proxies()
    world.controllers.stop_agent(stopped)
    await world.live(1)

    await world.act("abort")
    await world.live(25)

    # its Envoy still sends a tenth of the traffic to version 2, which must not go away under it
    assert world.weights() == {"1": 100, "2": 0}
    assert world.stage() == "RollingBack"
    assert stopped["metadata"]["name"] in world.condition("RouteProgrammed")[2]

    await world.until(lambda: ("2", "Aborted") in world.outcomes(), 90)
    assert stopped["metadata"]["uid"] not in world.uids(kinds.POD)
    assert other["metadata"]["uid"] in world.uids(kinds.POD)
    assert not world.controllers.lost


async def test_no_proxy_is_taken_away_when_all_of_them_stop() -> None:
    world = await promoted()
    for pod in world.proxies():
        world.controllers.stop_agent(pod)
    await world.ask_for("2")
    await world.live(200)

    assert len(world.controllers.stopped & world.uids(kinds.POD)) == 2
    assert world.weights()["1"] == 100


@pytest.mark.parametrize("ahead", [-40, 0, 40])
async def test_a_revision_drains_by_the_operators_clock(ahead: int) -> None:
    """No counter tells what is in flight, so that only the drain time ends the old version."""
    world = await promoted()
    old = f"digits-{world.status()['stable']['revision']}"
    world.controllers.nodes_clock = timedelta(seconds=ahead)
    world.controllers.silent = {pod["metadata"]["name"] for pod in world.proxies()}
    await world.ask_for("2", rollout={"analysis": {"mode": "Off"}})
    await world.until(lambda: world.serving() == "2")
    began = world.clock.seconds()

    await world.until(lambda: world.find(kinds.DEPLOYMENT, old)["spec"]["replicas"] == 0)

    assert 30 <= world.clock.seconds() - began <= 35


# ── what others do to it ──


@pytest.mark.parametrize(
    ("kind", "change", "mended"),
    [
        pytest.param(
            kinds.SERVICE,
            {"spec": {"selector": {names.LABEL_COMPONENT: "theirs"}}},
            lambda spec: spec["selector"][names.LABEL_COMPONENT] == "router",
            id="the client Service's selector is changed",
        ),
        pytest.param(
            kinds.SERVICE,
            {"spec": {"ports": None}},
            lambda spec: len(spec["ports"]) == 2,
            id="the client Service's ports are removed",
        ),
        pytest.param(
            kinds.MODEL_ROUTE,
            {"spec": {"timeoutSeconds": 7}},
            lambda spec: spec["timeoutSeconds"] == 0,
            id="the route's timeout is changed",
        ),
    ],
)
async def test_what_others_change_of_ours_is_mended(
    kind: kinds.Kind, change: dict[str, Any], mended: Callable[[Any], bool]
) -> None:
    world = await promoted()
    world.change(kind, "digits", **change)
    await world.live(2)
    assert mended(world.find(kind)["spec"])
    await world.settle()


async def test_what_others_change_of_a_revisions_deployment_is_mended() -> None:
    world = await promoted()
    name = f"digits-{world.status()['stable']['revision']}"
    before = world.find(kinds.DEPLOYMENT, name)["spec"]["template"]
    world.change(kinds.DEPLOYMENT, name, spec={"template": {"spec": {"containers": []}}})
    await world.live(2)
    assert world.find(kinds.DEPLOYMENT, name)["spec"]["template"] == before


async def test_replicas_that_others_change_are_mended() -> None:
    world = await promoted(scaling={"minReplicas": 2})
    name = f"digits-{world.status()['stable']['revision']}"
    world.api.witness = lambda _change: None  # the promise is broken by others
    world.change(kinds.DEPLOYMENT, name, spec={"replicas": 5})
    await world.live(2)
    assert world.find(kinds.DEPLOYMENT, name)["spec"]["replicas"] == 2


@pytest.mark.parametrize("kind", [kinds.SERVICE, kinds.MODEL_ROUTE, kinds.DEPLOYMENT])
async def test_a_child_that_others_delete_is_made_anew(kind: kinds.Kind) -> None:
    world = await promoted()
    revision = world.status()["stable"]["revision"]
    name = f"digits-{revision}" if kind is kinds.DEPLOYMENT else "digits"
    world.api.witness = lambda _change: None  # the promise is broken by others
    world.delete(kind, name)
    await world.live(5)
    assert world.api.get(kind, NAMESPACE, name) is not None
    await world.settle()
    assert world.serving() == "1"
    assert world.status()["stable"]["revision"] == revision


@pytest.mark.parametrize("kind", [kinds.SERVICE, kinds.MODEL_ROUTE])
async def test_a_foreign_object_of_that_name_is_reported_and_left_alone(kind: kinds.Kind) -> None:
    world = OperatorWorld()
    spec = {"port": 10_000, "model": "theirs", "backends": []}
    foreign = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": "digits", "namespace": NAMESPACE},
        "spec": spec if kind is kinds.MODEL_ROUTE else {"selector": {"theirs": "yes"}},
    }
    theirs = world.api.create(foreign, manager="somebody")

    await world.ask_for("1")
    await world.live(30)

    assert world.find(kind)["spec"] == theirs["spec"]
    assert "ownerReferences" not in world.find(kind)["metadata"]

    status, reason, message = world.condition("Stalled")
    assert (status, reason) == ("True", "Conflict")
    assert f"{kind.kind} {NAMESPACE}/digits exists" in message

    before = len(world.writes)
    await world.live(300)
    tried = [str(write) for write in world.writes[before:]]
    assert set(tried) == {f"apply {kind.kind} {NAMESPACE}/digits"}, "it is said once"
    assert len(tried) <= 300 / 30

    world.delete(kind)
    await world.until(lambda: world.serving() == "1")
    await world.settle()
    assert world.condition("Stalled") == ("", "", "")


class Quota(Trouble):
    """Refuses Deployments while there is no room."""

    is_full = True

    def before(self, write: Write) -> None:
        if self.is_full and write.kind == "Deployment" and write.name != names.ROUTER_NAME:
            raise AdmissionDenied("exceeded quota: deployments, requested 1, used 0, limited 0")


async def test_a_quota_is_said_in_a_condition_and_heals() -> None:
    world = OperatorWorld()
    world.trouble = quota = Quota()

    world.start()
    await world.ask_for("1")
    await world.live(30)
    status, reason, message = world.condition("Stalled")

    assert (status, reason) == ("True", "Refused")
    assert "exceeded quota" in message

    quota.is_full = False
    await world.until(lambda: world.serving() == "1", 60)
    await world.settle()
    assert world.condition("Stalled") == ("", "", "")


class NoJobs(Trouble):
    """Refuses every package Job."""

    def before(self, write: Write) -> None:
        if write.verb == "create" and "-package-" in write.name:
            raise AdmissionDenied("exceeded quota: count/jobs.batch")


async def test_traffic_comes_back_though_the_next_version_may_not_be_packaged() -> None:
    world = await promoted()

    await world.ask_for("2", rollout={"bakeSeconds": 600})
    await world.until(lambda: world.stage() == "Baking")
    world.operator.cluster.trouble = world.trouble = NoJobs()
    unpinned = {"source": {"uri": "https://models.example/3.onnx"}}
    await world.ask_for("3", model=unpinned, rollout={"bakeSeconds": 600})
    world.controllers.faults["2"] = "errors"
    await world.until(lambda: world.outcomes()[-1] == ("2", "RolledBack"), 60)

    assert world.weights() == {"1": 100}
    assert world.condition("Stalled")[1] == "Refused"

    world.operator.cluster.trouble = Trouble()
    await world.until(lambda: world.serving() == "3", 900)


async def test_from_the_commit_a_revert_takes_the_time_that_its_pods_need() -> None:
    world = await promoted("1")
    await world.ask_for("2")
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    world.controllers.faults["1"] = "never-ready"
    committed = world.clock.seconds()
    await world.ask_for("1")
    await world.live(20)
    assert world.serving() == "2"

    del world.controllers.faults["1"]
    await world.until(lambda: world.serving() == "1")
    assert world.clock.seconds() - committed <= 20 + 3
    assert [weights for weights in world.written_weights() if weights.get("1")][-1] == {
        "1": 100,
        "2": 0,
    }
