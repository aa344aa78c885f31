import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of
from slipway.render import departure, router
from slipway.render.router import RouterSpec
from slipway.settings import PodSettings, PodUsers, TracingSettings

SPEC = RouterSpec(agent_image="registry.local/slipway:1", envoy_image="registry.local/envoy:1")
BY_KIND = {each["kind"]: each for each in router.render_router("vision", "anchor-uid", SPEC)}
POD: Manifest = BY_KIND["Deployment"]["spec"]["template"]["spec"]
(AGENT,) = POD["initContainers"]
(ENVOY,) = POD["containers"]

COMPARING = RouterSpec("registry.local/slipway:1", "e", agent_version=router.COMPARER_VERSION)
*_, WITH_COMPARER = router.render_router("vision", "anchor-uid", COMPARING)
COMPARER = WITH_COMPARER["spec"]["template"]["spec"]["containers"][1]


def test_manifests_are_valid_kubernetes() -> None:
    for manifest in [router.render_anchor("vision"), *BY_KIND.values(), WITH_COMPARER]:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_everything_but_the_anchor_belongs_to_the_anchor() -> None:
    assert "ownerReferences" not in router.render_anchor("vision")["metadata"]

    for manifest in BY_KIND.values():
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == (
            "ServiceAccount",
            names.ROUTER_NAME,
            "anchor-uid",
        )


def test_everything_is_labelled_as_ours() -> None:
    for manifest in [router.render_anchor("vision"), *BY_KIND.values()]:
        assert manifest["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "slipway",
            "slipway.dev/component": "router",
        }


def test_the_agent_may_read_routes_and_endpoints_and_write_its_status_only() -> None:
    rules = {
        (rule["resources"][0], verb) for rule in BY_KIND["Role"]["rules"] for verb in rule["verbs"]
    }
    assert rules == {
        *(("modelroutes", verb) for verb in ("get", "list", "watch")),
        *(("endpointslices", verb) for verb in ("get", "list", "watch")),
        ("modelroutes/status", "patch"),
    }


def test_only_the_agent_gets_the_token() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert "token" in {mount["name"] for mount in AGENT["volumeMounts"]}
    assert {mount["name"] for mount in ENVOY["volumeMounts"]} == {"xds"}


def test_pods_meet_the_restricted_pod_security_standard() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}

    for container in (AGENT, ENVOY, COMPARER):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True


def test_envoy_starts_after_the_agent_has_something_for_it() -> None:
    assert AGENT["restartPolicy"] == "Always"
    assert AGENT["startupProbe"]["httpGet"]["path"] == "/startedz"


def test_nothing_ever_restarts_the_agent_because_its_end_drains_envoy() -> None:
    assert "livenessProbe" not in AGENT


def test_envoy_outlives_the_drain_and_the_pod_outlives_envoy() -> None:
    hook = ENVOY["lifecycle"]["preStop"]["httpGet"]
    drain = int(ENVOY["args"][ENVOY["args"].index("--drain-time-s") + 1])
    assert (hook["path"], hook["port"]) == (departure.IDLE_PATH, names.AGENT_PORT)
    assert drain < departure.LEAVE_SECONDS < departure.LONGEST_REQUEST_SECONDS
    assert POD["terminationGracePeriodSeconds"] > departure.LONGEST_REQUEST_SECONDS


def test_an_envoy_that_stands_still_is_ended_without_being_asked() -> None:
    probe = ENVOY["livenessProbe"]
    assert probe["terminationGracePeriodSeconds"] == 1
    assert probe["httpGet"]["port"] == names.LIVE_PORT
    assert {"name": "LIVE_PORT", "value": str(names.LIVE_PORT)} in AGENT["env"]


def test_an_envoy_that_starts_may_wait_for_an_agent_that_is_gone() -> None:
    probe = ENVOY["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 60


def test_no_container_on_the_way_of_requests_has_a_cpu_limit() -> None:
    assert all("limits" not in container["resources"] for container in (AGENT, ENVOY))


def test_the_comparer_has_limits_of_its_own_and_asks_for_what_it_takes_while_it_waits() -> None:
    resources = COMPARER["resources"]

    assert resources["limits"].keys() == resources["requests"].keys() == {"cpu", "memory"}
    assert resources["requests"] == {"cpu": "10m", "memory": "16Mi"}


def test_the_agent_is_told_whether_a_comparer_runs_beside_it() -> None:
    (agent,) = WITH_COMPARER["spec"]["template"]["spec"]["initContainers"]
    assert {"name": "COMPARER", "value": "true"} in agent["env"]
    assert all(each["name"] != "COMPARER" for each in AGENT["env"])


@pytest.mark.parametrize(
    ("running", "needs_comparer", "chosen"),
    [
        ("2", False, "2 old"),
        ("2", True, "4+ new"),
        ("3", True, "4+ new"),
        ("4", True, "4 old"),
        ("4", False, "4 old"),
    ],
)
def test_pods_are_replaced_for_a_comparer_once_and_never_to_take_it_away(
    running: str, needs_comparer: bool, chosen: str
) -> None:
    mark = router.AgentMark(running, "old")
    found = router.choose_agent("", "new", mark, needs_newest=False, needs_comparer=needs_comparer)
    assert str(found) == chosen


def test_the_comparers_container_outlives_the_comparer(tmp_path: Path) -> None:
    """Were it to end, the pod would not be Ready, and the router's clients would leave."""
    orders, runs = tmp_path / "shadow.json", tmp_path / "runs"
    program = tmp_path / "slipway"
    program.write_text(f"#!/bin/sh\necho run >> {runs}\nkill -KILL $$\n")
    program.chmod(0o755)
    script = COMPARER["command"][2].replace("/xds", str(tmp_path)).replace("sleep 2", "sleep 0.05")
    shell = subprocess.Popen(["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})

    def count_runs() -> int:
        return len(runs.read_text().splitlines()) if runs.exists() else 0

    try:
        assert count_runs() == 0
        orders.touch()
        wait_until(lambda: count_runs() > 2)
        assert shell.poll() is None
    finally:
        shell.terminate()
    assert shell.wait() == 0


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never held")


def test_a_rollout_never_takes_a_router_away_before_another_is_ready() -> None:
    strategy = BY_KIND["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)])
def test_a_single_router_does_not_forbid_drains(replicas: int, budgets: int) -> None:
    spec = RouterSpec("a", "e", replicas=replicas)
    kinds = [each["kind"] for each in router.render_router("vision", "u", spec)]
    assert kinds.count("PodDisruptionBudget") == budgets


def test_a_running_router_is_not_replaced_for_settings_that_are_not_set() -> None:
    """Where another release must change its pods, AGENT_VERSION is raised, and this with it."""
    spec = RouterSpec(SPEC.agent_image, SPEC.envoy_image, ends_idle=False)
    *_, deployment = router.render_router("vision", "anchor-uid", spec)
    assert (router.AGENT_VERSION, sha256_of(deployment)[:16]) == ("2", "455047403d50a177")


def test_routers_of_this_release_are_not_replaced_by_the_next_one() -> None:
    assert sha256_of(BY_KIND["Deployment"])[:16] == "ff6f81a9337ef7ea"


def test_the_mark_says_whether_envoy_ends_when_nothing_is_in_flight() -> None:
    for text in ("2 registry.local/slipway:1", "4+ registry.local/slipway:1"):
        assert str(router.AgentMark.parse(text)) == text
    assert router.AgentMark.parse("4+ a").ends_idle
    assert not router.AgentMark.parse("4 a").ends_idle


def test_only_pods_that_are_replaced_anyway_get_an_agent_that_knows_when_envoy_may_end() -> None:
    running = router.AgentMark("4", "old")
    kept = router.choose_agent("", "new", running, needs_newest=False)
    assert str(kept) == "4 old"
    replaced = router.choose_agent("", "new", running, needs_newest=False, is_replaced=True)
    assert str(replaced) == "4+ new"
    again = router.choose_agent("", "newer", replaced, needs_newest=False, is_replaced=True)
    assert again == replaced


def test_the_administrator_sets_where_and_with_which_secrets_routers_run() -> None:
    pods = PodSettings.model_validate(
        {
            "imagePullSecrets": [{"name": "mirror"}],
            "nodeSelector": {"pool": "edge"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "priorityClassName": "high",
            "resources": {"requests": {"memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        }
    )
    spec = RouterSpec("a", "e", pods=pods)
    *_, deployment = router.render_router("vision", "u", spec)
    kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)
    pod = deployment["spec"]["template"]["spec"]

    assert pod["imagePullSecrets"] == [{"name": "mirror"}]
    assert pod["nodeSelector"] == {"pool": "edge"}
    assert pod["tolerations"] == [{"key": "edge", "operator": "Exists"}]
    assert pod["priorityClassName"] == "high"
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["resources"] == {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "256Mi"},
        }


def test_the_administrator_sets_labels_and_annotations_but_not_those_that_select() -> None:
    pods = PodSettings(labels={"team": "ml", names.LABEL_COMPONENT: "x"}, annotations={"a": "b"})
    *_, deployment = router.render_router("vision", "u", RouterSpec("a", "e", pods=pods))

    metadata = deployment["spec"]["template"]["metadata"]
    assert metadata == {"labels": {"team": "ml", **router.LABELS}, "annotations": {"a": "b"}}


def test_where_the_platform_chooses_users_a_router_names_none() -> None:
    spec = RouterSpec("a", "e", users=PodUsers.PLATFORM)
    *_, deployment = router.render_router("vision", "u", spec)

    assert deployment["spec"]["template"]["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


# ── traces ──

TRACING = TracingSettings(endpoint="http://collector:4318", sampling_percent=0.5)


def test_the_agent_is_told_where_spans_go_and_how_many() -> None:
    spec = RouterSpec("a", "e", can_trace=True, tracing=TRACING)
    *_, deployment = router.render_router("vision", "anchor-uid", spec)
    (agent,) = deployment["spec"]["template"]["spec"]["initContainers"]
    told = {each["name"]: each.get("value") for each in agent["env"]}
    assert told["TRACING_ENDPOINT"] == "http://collector:4318"
    assert told["TRACING_SAMPLING_PERCENT"] == "0.5"


@pytest.mark.parametrize(
    ("running", "needs_traces", "chosen"),
    [
        (None, True, "2+t new"),
        (None, False, "2+ new"),
        ("2+ old", True, "2+t new"),
        ("4 old", True, "4+t new"),
        ("2+t old", True, "2+t old"),
        ("2+t old", False, "2+t old"),
    ],
)
def test_a_router_gets_an_agent_that_knows_of_traces_once(
    running: str | None, *, needs_traces: bool, chosen: str
) -> None:
    mark = router.AgentMark.parse(running) if running is not None else None
    assert str(mark) == str(running)
    found = router.choose_agent("", "new", mark, needs_newest=False, needs_traces=needs_traces)
    assert str(found) == chosen


# ── asleep ──

HOLDING = RouterSpec("registry.local/slipway:1", "e", agent_version=router.HOLDING_VERSION)


def test_the_agent_is_told_whether_its_router_can_hold_requests() -> None:
    *_, deployment = router.render_router("vision", "anchor-uid", HOLDING)
    spec = deployment["spec"]["template"]["spec"]
    (agent,) = spec["initContainers"]
    assert {"name": "HOLDS_REQUESTS", "value": "true"} in agent["env"]
    assert all(each["name"] != "HOLDS_REQUESTS" for each in AGENT["env"])
    assert [each["name"] for each in spec["containers"]] == ["envoy", "comparer"]


@pytest.mark.parametrize(
    ("running", "needs_holding", "needs_comparer", "chosen"),
    [
        ("4", False, True, "4 old"),
        ("4", True, False, "5+ new"),
        ("2", True, False, "5+ new"),
        ("5", False, True, "5 old"),
        ("5", False, False, "5 old"),
    ],
)
def test_routers_that_hold_can_do_all_that_those_before_them_can(
    running: str, *, needs_holding: bool, needs_comparer: bool, chosen: str
) -> None:
    found = router.choose_agent(
        "",
        "new",
        router.AgentMark(running, "old"),
        needs_newest=False,
        needs_comparer=needs_comparer,
        needs_holding=needs_holding,
    )
    assert str(found) == chosen
