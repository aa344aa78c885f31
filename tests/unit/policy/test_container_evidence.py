"""What containers say against a candidate, and what they do not say."""

from dataclasses import replace
from typing import Any

import pytest
from slipway.api.reasons import Reason, Why
from slipway.api.request import PackageMode
from slipway.policy.container_evidence import (
    find_container_evidence,
    shorten_last_words,
    why_not_ready,
)
from slipway.policy.facts import ContainerExit, Facts, PodFact

from tests.builders import (
    NOON,
    a_model_deployment,
    a_pod,
    a_revision,
    a_route,
    a_workload,
    facts_about,
    later,
    meta,
)

LOAD_ERROR = ContainerExit(1, "Error", "E1121 failed to load 'digits' version 1: Invalid argument")
CRASH = ContainerExit(139, "Error", "Signal (11) received.")
STABLE = a_revision(a_model_deployment("1")).name
CANDIDATE = a_revision(a_model_deployment("2")).name


def facts(*pods: PodFact, stable_ready: int = 1, weight: int = 5, ready: int = 0) -> Facts:
    return facts_about(
        a_model_deployment("2"),
        workloads={
            STABLE: a_workload(STABLE, ready=stable_ready),
            CANDIDATE: a_workload(CANDIDATE, ready=ready),
        },
        pods={CANDIDATE: pods},
        route=a_route({STABLE: 100 - weight, CANDIDATE: weight}),
    )


def a_candidate(**changes: Any) -> PodFact:
    broken = {"ready": False, "ever_ready": False, "running": False, **changes}
    return a_pod("digits-x", CANDIDATE, **broken)


def reason(found: Facts, *, stable: str | None = STABLE, seconds: float = 0) -> str | None:
    evidence = find_container_evidence(found, CANDIDATE, stable, later(seconds))
    return evidence.reason if evidence else None


def test_a_model_that_does_not_load_is_refused_at_the_first_exit_in_its_own_words() -> None:
    found = facts(a_candidate(exits=1, last_exit=LOAD_ERROR))
    evidence = find_container_evidence(found, CANDIDATE, STABLE, NOON)
    assert evidence is not None
    assert evidence.reason == "LoadFailed"
    assert "Invalid argument" in evidence.message


def test_other_ends_count_from_the_second_on() -> None:
    assert reason(facts(a_candidate(exits=1, last_exit=CRASH))) is None
    assert reason(facts(a_candidate(exits=2, last_exit=CRASH))) == "Crashing"


def test_ends_of_several_pods_add_up() -> None:
    one = a_candidate(exits=1, last_exit=CRASH)
    assert reason(facts(one, replace(one, meta=meta("digits-y")))) == "Crashing"


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(
            a_candidate(exits=3, last_exit=ContainerExit(0, "Completed", "")), id="a clean end"
        ),
        pytest.param(
            a_candidate(exits=3, last_exit=ContainerExit(137, "Evicted", "")), id="an eviction"
        ),
        pytest.param(
            a_candidate(exits=3, last_exit=ContainerExit(137, "ContainerStatusUnknown", "")),
            id="a node that went away",
        ),
        pytest.param(a_candidate(exits=0, last_exit=None), id="no end at all"),
        pytest.param(
            replace(a_candidate(exits=3, last_exit=CRASH), meta=replace(meta("x"), deleting=True)),
            id="a pod that is being deleted",
        ),
        pytest.param(
            a_candidate(
                exits=1, last_exit=ContainerExit(137, "OOMKilled", "error: creating server")
            ),
            id="one kill for lack of memory",
        ),
    ],
)
def test_the_environment_is_not_the_models_fault(pod: PodFact) -> None:
    assert reason(facts(pod)) is None


def test_nobody_is_blamed_while_stable_is_down_too() -> None:
    broken = a_candidate(exits=5, last_exit=CRASH)
    assert reason(facts(broken, stable_ready=0)) is None
    assert reason(facts(broken), stable=None) == "Crashing"


def test_a_server_that_hangs_in_traffic_is_refused_after_half_a_minute() -> None:
    pod = a_candidate(running=True, ever_ready=True, not_ready_since=NOON)
    assert reason(facts(pod), seconds=29) is None
    assert reason(facts(pod), seconds=30) == "NotReady"


def test_a_server_that_was_never_ready_or_has_no_traffic_only_starts() -> None:
    pod = a_candidate(running=True, ever_ready=True, not_ready_since=NOON)
    assert reason(facts(replace(pod, ever_ready=False)), seconds=300) is None
    assert reason(facts(pod, weight=0), seconds=300) is None
    assert reason(facts(pod, ready=1), seconds=300) is None


@pytest.mark.parametrize(
    ("pod", "said", "words"),
    [
        (a_candidate(unschedulable="0/1 nodes: Insufficient gpu"), "Unschedulable", "gpu"),
        (
            a_candidate(waiting=("ErrImagePull", "pull access denied")),
            "ImagePullFailed",
            "pull access denied",
        ),
        (
            a_candidate(waiting=("CreateContainerConfigError", "secret not found")),
            "CreateContainerConfigError",
            "secret not found",
        ),
        (
            a_candidate(fetch_exit=ContainerExit(1, "Error", "expected sha256:1, found sha256:2")),
            "FetchFailed",
            "expected sha256:1",
        ),
        (a_candidate(needs="Secret key"), "PodWaiting", "is waiting for Secret key"),
        (a_candidate(), "Starting", "0 of 1 replicas are ready"),
    ],
)
def test_what_a_start_waits_for_is_said(pod: PodFact, said: str, words: str) -> None:
    why = why_not_ready(facts(pod), CANDIDATE)
    assert why.reason.value == said
    assert words in why.message


def test_a_node_that_cannot_mount_the_models_image_is_said_with_what_it_needs() -> None:
    found = facts(a_candidate(waiting=("CreateContainerError", 'failed to mkdir ""')))
    known = a_revision(a_model_deployment("2"))
    mounted = replace(
        known, snapshot=known.snapshot.model_copy(update={"mode": PackageMode.VOLUME})
    )
    assert why_not_ready(found, CANDIDATE).reason == Reason.CREATE_CONTAINER_ERROR

    why = why_not_ready(
        replace(found, revisions={**found.revisions, CANDIDATE: mounted}), CANDIDATE
    )

    assert why.reason == Reason.IMAGE_VOLUMES_MISSING
    assert "containerd 2.1 or CRI-O 1.33" in why.message


def test_a_quota_that_refuses_pods_is_said() -> None:
    found = facts()
    refused = replace(found.workloads[CANDIDATE], failure="exceeded quota")
    found = replace(found, workloads={CANDIDATE: refused})
    assert why_not_ready(found, CANDIDATE) == Why(
        Reason.PODS_REFUSED, "pods are refused: exceeded quota"
    )


def test_last_words_are_the_telling_lines_on_one_line() -> None:
    text = "I started\nE model failed: no file\nI bye\n"
    assert shorten_last_words(text) == "E model failed: no file"
    assert shorten_last_words("just\nthis") == "just / this"
    assert shorten_last_words("") == "it left no message"
    assert len(shorten_last_words("error " * 500)) <= 401


CUT_OFF = r"""
I1130 10:49:31.704204 15 pb_stub.cc:298]  Failed to initialize Python stub: Protobuf parsing failed.

At:
  /opt/triton/onnxruntime/capi/onnxruntime_inference_collection.py(778): _create_inference_session

2026-11-30T10:49:31Z E 1 model_lifecycle.cc:642] "failed to load 'cut' version 1: Internal: \
Load model from /models/cut/1/model.onnx failed:Protobuf parsing failed.\n\nAt:\n  \
/opt/triton/onnxruntime/capi/inference.py(778): _create\n  /opt/triton/model.py(115): open\n"
error: creating server: Internal - failed to load all models
""".replace("\\\n", "")


def test_a_traceback_does_not_push_its_cause_out_of_sight() -> None:
    assert shorten_last_words(CUT_OFF) == (
        "Failed to initialize Python stub: Protobuf parsing failed. / failed to load 'cut' version "
        "1: Internal: Load model from /models/cut/1/model.onnx failed:Protobuf parsing failed. (at "
        "/opt/triton/onnxruntime/capi/inference.py(778): _create) / error: creating server: "
        "Internal - failed to load all models"
    )


KILLED = ContainerExit(137, "OOMKilled", "")


def with_limit(limit: str | None, *pods: PodFact, weight: int = 5) -> Facts:
    """Return facts about a candidate in traffic, and what its server may use."""
    limits = {"limits": {"memory": limit}} if limit else {}
    md = a_model_deployment("2", server={"resources": limits})
    known = a_revision(md)
    return facts_about(
        md,
        revisions={known.name: known},
        workloads={STABLE: a_workload(STABLE), known.name: a_workload(known.name)},
        pods={known.name: pods},
        route=a_route({STABLE: 100 - weight, known.name: weight}),
    )


@pytest.mark.parametrize(
    ("limit", "weight", "expected"),
    [("512Mi", 5, "OutOfMemory"), (None, 5, None), ("512Mi", 0, None)],
)
def test_one_kill_at_its_own_memory_limit_is_enough_under_traffic(
    limit: str | None, weight: int, expected: str | None
) -> None:
    pod = a_pod("digits-x", "any", exits=1, last_exit=KILLED)
    found = with_limit(limit, pod, weight=weight)
    [candidate] = found.pods
    evidence = find_container_evidence(found, candidate, STABLE, NOON)
    assert (evidence.reason if evidence else None) == expected


def test_restarts_under_traffic_are_evidence_from_the_second_on() -> None:
    pod = a_pod("digits-x", "any", exits=2, last_exit=CRASH)
    found = with_limit(None, pod)
    [candidate] = found.pods
    evidence = find_container_evidence(found, candidate, STABLE, NOON)
    assert evidence is not None
    assert evidence.reason == "Crashing"


@pytest.mark.parametrize("code", [137, 143])
def test_a_start_that_the_startup_probe_ends_is_never_held_against_the_bytes(code: int) -> None:
    killed = a_candidate(
        exits=3, ever_ready=False, ready=False, last_exit=ContainerExit(code, "Error", "")
    )
    assert find_container_evidence(facts(killed), CANDIDATE, STABLE, NOON) is None

    why = why_not_ready(facts(killed), CANDIDATE)
    assert why.reason is Reason.START_TOO_SLOW
    assert "longer than spec.server.startSeconds" in why.message


def test_a_server_that_was_ready_and_is_killed_again_and_again_is_evidence() -> None:
    killed = a_candidate(exits=3, ever_ready=True, last_exit=ContainerExit(137, "Error", ""))
    evidence = find_container_evidence(facts(killed), CANDIDATE, STABLE, NOON)
    assert evidence is not None
    assert evidence.reason is Reason.CRASHING
