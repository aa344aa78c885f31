"""Where the seconds of a start go, as `describe` says it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.api.names import (
    COMPONENT_CHECK,
    COMPONENT_PACKAGE,
    COMPONENT_SERVER,
    LABEL_COMPONENT,
)
from slipway.cli.startup import describe_parts, find_packaging, find_parts

Manifest = dict[str, Any]
BEGAN = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def manifest(kind: str, component: str = "", **status: Any) -> Manifest:
    metadata = {"creationTimestamp": at(1), "labels": {LABEL_COMPONENT: component}}
    return {"kind": kind, "metadata": metadata, "status": status}


def condition(kind: str, seconds: float | None) -> Manifest:
    held = "False" if seconds is None else "True"
    return {"type": kind, "status": held, "lastTransitionTime": at(seconds or 0)}


def server_pod(*, fetched: float | None, started: float | None, ready: float | None) -> Manifest:
    """Return a pod in Fetch mode with what it has behind it."""
    fetching = {"running": {}} if fetched is None else {"terminated": {"finishedAt": at(fetched)}}
    serving = {"waiting": {}} if started is None else {"running": {"startedAt": at(started)}}
    return manifest(
        "Pod",
        COMPONENT_SERVER,
        conditions=[
            condition("PodScheduled", 5),
            condition("PodReadyToStartContainers", 6),
            condition("Ready", ready),
        ],
        initContainerStatuses=[
            {"name": "hold", "state": {"running": {"startedAt": at(6)}}},
            {"name": "fetch", "state": fetching},
        ],
        containerStatuses=[{"name": "triton", "state": serving}],
    )


def told(*manifests: Manifest, now: float) -> str:
    return describe_parts(find_parts(manifests, BEGAN, BEGAN + timedelta(seconds=now)))


CHECK = manifest("Job", COMPONENT_CHECK)


def test_a_start_that_is_over_says_what_each_part_took() -> None:
    judged = manifest("Job", COMPONENT_CHECK, completionTime=at(16))
    pod = server_pod(fetched=10, started=11, ready=14)

    assert told(pod, judged, now=60) == (
        "16s: scheduling 5s, volumes and network 1s, fetching the model 4s, "
        "starting the server 1s, loading the model 3s, checking 2s"
    )


def test_what_is_under_way_is_the_last_part_and_counts_on() -> None:
    assert told(now=3) == "3s: waiting for its pods 3s so far"

    fetching = server_pod(fetched=None, started=None, ready=None)
    assert told(fetching, now=46).endswith("fetching the model 40s so far")
    starting = server_pod(fetched=10, started=None, ready=None)
    assert told(starting, now=14).endswith("starting the server 4s so far")


def test_a_check_whose_pod_waited_for_the_model_counts_from_the_ready_pod() -> None:
    pod = server_pod(fetched=10, started=11, ready=14)
    assert told(pod, CHECK, now=15).endswith("loading the model 3s, checking 1s so far")


def test_of_several_pods_the_first_ready_one_counts() -> None:
    late = server_pod(fetched=30, started=40, ready=50)
    first = server_pod(fetched=10, started=11, ready=14)
    loading = server_pod(fetched=8, started=9, ready=None)
    assert told(loading, late, first, now=60).startswith("14s: ")


def test_packaging_counts_from_its_own_job_and_not_from_the_rollout_before() -> None:
    job = manifest("Job", COMPONENT_PACKAGE)
    parts = find_packaging([job], BEGAN + timedelta(seconds=8))
    assert describe_parts(parts) == "7s: packaging 7s so far"
    assert not find_packaging([], BEGAN)


def test_nothing_is_said_where_no_rollout_began() -> None:
    assert not find_parts([CHECK], None, BEGAN)
    assert not describe_parts(())
