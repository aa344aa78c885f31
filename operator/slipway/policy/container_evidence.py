"""What containers say against a candidate, and what the environment says instead.

Evidence against the bytes rejects a revision for good, so it counts only while stable is healthy:
what takes both down is an outage, never the candidate's fault.
"""

import re
import signal
from datetime import datetime, timedelta

from slipway.api.reasons import Reason, Why
from slipway.api.request import PackageMode
from slipway.policy.facts import ContainerExit, Facts, PodFact

NOT_READY_AFTER = timedelta(seconds=30)
CRASHES = 2
NOT_THE_MODEL = frozenset({"Unknown", "ContainerStatusUnknown", "NodeShutdown", "Evicted"})
KILLED = frozenset({128 + signal.SIGTERM, 128 + signal.SIGKILL})
"""Exit codes of a container that was ended from outside."""
LOG_PLACE = re.compile(
    r"^([IWEF]\d{4} \d\d:\d\d:\d\d\.\d+|\d{4}-\d\d-\d\dT\S+ [IWEF]) \d+ [\w./]+:\d+\]\s+"
)
"""When, in which process and where in its source Triton said something, in both of its formats."""
ESCAPED_TRACEBACK = r"\n\nAt:\n"
LOAD_ERRORS = ("failed to load", "creating server", "failed to start", "error: ")


def find_container_evidence(
    facts: Facts, candidate: str, stable: str | None, now: datetime
) -> Why | None:
    """Return what the candidate's containers say against it, or None."""
    if stable is not None and not facts.is_healthy(stable):
        return None
    pods = [pod for pod in facts.pods.get(candidate, ()) if not pod.meta.deleting]
    return (
        _find_load_failure(pods)
        or _find_out_of_memory(facts, candidate, pods)
        or _find_crashes(pods)
        or _find_hang(facts, candidate, pods, now)
    )


def _find_own_end(pod: PodFact) -> ContainerExit | None:
    end = pod.last_exit
    if end is None or end.code == 0 or end.reason in NOT_THE_MODEL or not pod.exits:
        return None
    return None if _was_killed_while_starting(pod) else end


def _was_killed_while_starting(pod: PodFact) -> bool:
    """Return whether the kubelet ended a container that was still loading.

    A server that fails by itself exits, aborts or faults. SIGTERM and SIGKILL come from outside:
    before it was ever ready from the startup probe, whose patience is `startSeconds`.
    """
    end = pod.last_exit
    if end is None or pod.ever_ready or end.reason == "OOMKilled":
        return False
    return end.code in KILLED


def _find_load_failure(pods: list[PodFact]) -> Why | None:
    for pod in pods:
        end = _find_own_end(pod)
        if end is None or pod.ever_ready or end.reason == "OOMKilled":
            continue
        if any(word in end.message.lower() for word in LOAD_ERRORS):
            return Why(
                Reason.LOAD_FAILED,
                f"the server exited with code {end.code} while loading the model: "
                f"{shorten_last_words(end.message)}",
            )
    return None


def _find_out_of_memory(facts: Facts, candidate: str, pods: list[PodFact]) -> Why | None:
    """Under traffic, one kill at a limit of its own is enough; without a limit it is the node's."""
    limit = own_memory_limit(facts, candidate)
    if limit is None or not facts.written_weight(candidate):
        return None
    for pod in pods:
        end = _find_own_end(pod)
        if end is not None and end.reason == "OOMKilled":
            text = f"a container was killed at its memory limit of {limit} under traffic"
            return Why(Reason.OUT_OF_MEMORY, text)
    return None


def own_memory_limit(facts: Facts, candidate: str) -> int | str | None:
    """Return the memory limit of the candidate's server as the spec has it; None: it has none."""
    server = facts.spec.server
    limits = server.resources.limits if server is not None and server.resources else None
    known = facts.revisions.get(candidate)
    is_its_own = known is not None and known.snapshot.input == facts.input
    return (limits or {}).get("memory") if is_its_own else None


def _find_crashes(pods: list[PodFact]) -> Why | None:
    ends = [(pod, end) for pod in pods if (end := _find_own_end(pod)) is not None]
    total = sum(pod.exits for pod, _ in ends)
    if total < CRASHES:
        return None
    end = ends[0][1]
    return Why(
        Reason.CRASHING,
        f"its containers ended {total} times, last with code {end.code} ({end.reason}): "
        f"{shorten_last_words(end.message)}",
    )


def _find_hang(facts: Facts, candidate: str, pods: list[PodFact], now: datetime) -> Why | None:
    if not facts.written_weight(candidate) or facts.ready(candidate) or not pods:
        return None
    silent = [
        pod
        for pod in pods
        if pod.running
        and pod.ever_ready
        and pod.not_ready_since is not None
        and now - pod.not_ready_since >= NOT_READY_AFTER
    ]
    if len(silent) < len(pods):
        return None
    return Why(
        Reason.NOT_READY,
        f"none of its {len(pods)} running replicas has answered the readiness probe for "
        f"{NOT_READY_AFTER.seconds} s",
    )


def shorten_last_words(text: str, limit: int = 400) -> str:
    """Return what a person needs of a server's last words, on one line."""
    lines = [_strip_log_line(line) for line in text.splitlines() if line.strip()]
    telling = [
        line for line in lines if any(word in line.lower() for word in ("error", "fail", "invalid"))
    ]
    chosen = " / ".join((telling or lines)[-3:]) or "it left no message"
    return chosen if len(chosen) <= limit else "…" + chosen[-limit:]


def _strip_log_line(line: str) -> str:
    """Return a line without its place in Triton's log, and with one frame of a traceback.

    Triton escapes what spans lines, so that a whole traceback would push its cause out of sight.
    """
    words = LOG_PLACE.sub("", line.strip()).strip('"')
    cause, _, frames = words.partition(ESCAPED_TRACEBACK)
    first = frames.partition("\\n")[0].strip()
    return f"{cause} (at {first})" if first else cause


def why_not_ready(facts: Facts, revision: str) -> Why:
    """Return why a revision is not ready yet."""
    workload = facts.workloads.get(revision)
    if workload is not None and workload.failure:
        return Why(Reason.PODS_REFUSED, f"pods are refused: {workload.failure}")
    if workload is None and facts.awaits_policies:
        problem = f" ({facts.router_problem})" if facts.router_problem else ""
        return Why(Reason.STARTING, f"waiting for the NetworkPolicies around its pods{problem}")

    for pod in facts.pods.get(revision, ()):
        if pod.fetch_exit is not None and pod.fetch_exit.code:
            text = f"fetching the model failed: {shorten_last_words(pod.fetch_exit.message)}"
            return Why(Reason.FETCH_FAILED, text)
        if pod.exits and _was_killed_while_starting(pod):
            return _why_start_is_too_slow(facts, revision, pod)
        if pod.waiting is not None:
            known = facts.revisions.get(revision)
            if known is not None and known.snapshot.mode is PackageMode.VOLUME:
                return _why_volume_waits(pod.meta.name, *pod.waiting)
            return _why_container_waits(pod.meta.name, *pod.waiting)
        if pod.unschedulable is not None:
            text = f"pod {pod.meta.name} is unschedulable: {pod.unschedulable}"
            return Why(Reason.UNSCHEDULABLE, text)
        if pod.needs is not None:
            return Why(Reason.POD_WAITING, f"pod {pod.meta.name} is waiting for {pod.needs}")

    ready = facts.ready(revision)
    wanted = workload.replicas if workload else facts.spec.scaling.least_awake
    return Why(Reason.STARTING, f"{ready} of {wanted} replicas are ready")


def _why_start_is_too_slow(facts: Facts, revision: str, pod: PodFact) -> Why:
    known = facts.revisions.get(revision)
    limit = f" ({known.snapshot.start_seconds} s)" if known is not None else ""
    text = (
        f"pod {pod.meta.name} was killed before it was ready, {pod.exits} times: loading takes "
        f"longer than spec.server.startSeconds{limit}; set it higher"
    )
    return Why(Reason.START_TOO_SLOW, text)


def _why_volume_waits(pod: str, reason: str, message: str) -> Why:
    """A runtime that knows no image volumes cannot make the container, and does not say why."""
    if reason != "CreateContainerError":
        return _why_container_waits(pod, reason, message)
    text = (
        f"pod {pod} cannot mount the model's image: {shorten_last_words(message)}; the node needs "
        "Kubernetes 1.35 with containerd 2.1 or CRI-O 1.33, or spec.packaging.mode Image or Fetch"
    )
    return Why(Reason.IMAGE_VOLUMES_MISSING, text)


def _why_container_waits(pod: str, reason: str, message: str) -> Why:
    """Say the same while the kubelet goes between pulling and waiting to pull."""
    if reason in {"ErrImagePull", "ImagePullBackOff"}:
        detail = message.rpartition("ErrImagePull: ")[2]
        text = f"pod {pod} cannot pull its image: {shorten_last_words(detail)}"
        return Why(Reason.IMAGE_PULL_FAILED, text)
    text = f"pod {pod} is waiting: {reason}: {message}"
    return Why(Reason.parse(reason, Reason.POD_WAITING), text)
