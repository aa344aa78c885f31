"""How far the download of a model is: which pod to ask, when, and what people read of it; pure."""

from datetime import datetime, timedelta

from slipway.api.download import DownloadProgress
from slipway.api.modeldeployment import DownloadStatus, Stage
from slipway.api.times import to_wire
from slipway.policy.facts import Facts, JobState

FIRST_LOOK = timedelta(seconds=10)
"""What takes less has no progress that anybody could read, and costs no write."""
LAST_LOOK = timedelta(seconds=60)
LOOKS = 30
"""A look comes after a thirtieth of the time so far: hours of a download cost a write a minute."""
FETCHING = frozenset({Stage.PACKAGING, Stage.STARTING})
MEBIBYTE = 2**20


def is_fetching(stage: Stage) -> bool:
    """Return whether a model may be fetched in this stage."""
    return stage in FETCHING


def find_fetching_pod(facts: Facts) -> str | None:
    """Return the address of the pod whose download the rollout waits for; None without one."""
    rollout = facts.status.rollout
    stage = (rollout.underlying or rollout.stage) if rollout is not None else None
    if stage is Stage.PACKAGING:
        jobs = [
            job for job in facts.jobs if job.subject == facts.input and job.state is JobState.ACTIVE
        ]
        newest = max(jobs, key=lambda job: job.attempt, default=None)
        return newest.address if newest is not None else None

    if stage is not Stage.STARTING:
        return None
    pods = [pod for pod in facts.pods.get(facts.candidate or "", ()) if pod.fetches]
    first = min(pods, key=lambda pod: pod.meta.name, default=None)
    return first.address if first is not None else None


def next_look_after(age: timedelta) -> timedelta:
    """Return when to look again at a download that began so long ago."""
    return min(max(FIRST_LOOK, age / LOOKS), LAST_LOOK)


def measure_download(progress: DownloadProgress, now: datetime) -> DownloadStatus:
    """Return what a pod said in the form that people read."""
    rate = round(progress.bytes / max(progress.seconds, 1)) or None
    left = None if progress.total_bytes is None else max(0, progress.total_bytes - progress.bytes)
    return DownloadStatus(
        bytes=progress.bytes,
        total_bytes=progress.total_bytes,
        bytes_per_second=rate,
        seconds_left=round(left / rate) if left is not None and rate is not None else None,
        at=to_wire(now),
    )


def describe_download(facts: Facts) -> str:
    """Return the end of a sentence that says how far the download is; empty where nobody knows."""
    told = facts.download
    if told is None:
        return ""
    if told.bytes == told.total_bytes:
        return f": all {_mebibytes(told.bytes)} are fetched"

    total = f" of {_mebibytes(told.total_bytes)}" if told.total_bytes is not None else ""
    rate = told.bytes_per_second
    speed = f" at {rate / MEBIBYTE:,.1f} MiB/s" if rate is not None else ""
    left = f", {told.seconds_left} s left" if told.seconds_left is not None else ""
    return f": fetched {_mebibytes(told.bytes)}{total}{speed}{left}"


def _mebibytes(count: int) -> str:
    return f"{count / MEBIBYTE:,.1f} MiB"
