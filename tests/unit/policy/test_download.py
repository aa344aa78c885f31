"""Which pod is asked how far its download is, when, and what is said of it."""

from datetime import timedelta
from typing import Any

import pytest
from slipway.api.download import DownloadProgress
from slipway.api.modeldeployment import RevisionStatus, RolloutStatus, Stage
from slipway.policy.download import (
    describe_download,
    find_fetching_pod,
    measure_download,
    next_look_after,
)
from slipway.policy.facts import Facts

from tests.builders import NOON, a_model_deployment, a_pod, a_revision, a_workload, facts_about

GIBIBYTE = 2**30
CANDIDATE = a_revision(a_model_deployment("2")).name


def starting(stage: Stage = Stage.STARTING, **changes: Any) -> Facts:
    """Version 2 has three pods; those that are called b and c fetch."""
    md = a_model_deployment("2")
    candidate = RevisionStatus(revision=CANDIDATE, version="2")
    status = md.status.model_copy(
        update={"rollout": RolloutStatus(stage=stage), "candidate": candidate}
    )
    pods = [
        a_pod(name, CANDIDATE, address=f"10.0.0.{name}", fetches=name != "a", ready=name == "a")
        for name in "cab"
    ]
    return facts_about(
        md.model_copy(update={"status": status}),
        workloads={CANDIDATE: a_workload(CANDIDATE)},
        pods={CANDIDATE: tuple(pods)},
        **changes,
    )


def test_of_several_pods_that_fetch_the_first_is_asked() -> None:
    assert find_fetching_pod(starting()) == "10.0.0.b"


@pytest.mark.parametrize("stage", [Stage.IDLE, Stage.CHECKING, Stage.BAKING, Stage.FAILED])
def test_nobody_is_asked_while_nobody_waits(stage: Stage) -> None:
    assert find_fetching_pod(starting(stage)) is None


def test_looks_come_after_ten_seconds_and_every_minute_in_the_end() -> None:
    waits = [next_look_after(timedelta(seconds=age)).total_seconds() for age in (0, 300, 900, 9e4)]

    assert waits == [10, 10, 30, 60]


@pytest.mark.parametrize(
    ("progress", "says"),
    [
        (DownloadProgress(bytes=0, total_bytes=GIBIBYTE, seconds=9), "fetched 0.0 MiB of 1,024.0"),
        (DownloadProgress(bytes=GIBIBYTE, total_bytes=GIBIBYTE, seconds=9), "all 1,024.0 MiB are"),
        (DownloadProgress(bytes=GIBIBYTE, seconds=8), "fetched 1,024.0 MiB at 128.0 MiB/s"),
        (DownloadProgress(bytes=2 * GIBIBYTE, total_bytes=GIBIBYTE, seconds=8), "0 s left"),
        (DownloadProgress(bytes=1, total_bytes=10**15, seconds=0), "fetched 0.0 MiB of"),
        (DownloadProgress(bytes=1, total_bytes=10**15, seconds=10**7), "fetched 0.0 MiB of"),
    ],
)
def test_every_number_that_a_pod_may_tell_can_be_said(
    progress: DownloadProgress, says: str
) -> None:
    told = measure_download(progress, NOON)

    assert says in describe_download(starting(download=told))
