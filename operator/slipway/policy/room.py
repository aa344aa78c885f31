"""Whether pods find room: what the scheduler and quotas say of them, in one sentence.

The scheduler's own word is exact: it knows allocatable and requested resources, taints, affinity
and volumes of every node. It comes with the pod, within a second of its creation, and reading it
needs no right beyond the pod's own namespace.
"""

import re
from datetime import datetime, timedelta

from slipway.policy.facts import Facts, PodFact

HEARD_AFTER = timedelta(seconds=2)
"""A place of a pod that is just ending is free in a moment, and then there was room."""
LACKS_ROOM = ("Insufficient ", "Too many pods", "anti-affinity", "free ports")
"""What the scheduler says of nodes whose pods are in the way; a replica less would help."""
ASIDE = re.compile(r"[.,]?\s*(no new claims to deallocate|preemption: ).*$", re.DOTALL)
QUOTA = "exceeded quota"


def find_shortage(facts: Facts, revision: str) -> str | None:
    """Return what keeps replicas of a revision from finding room, in one sentence; None: nothing.

    What another place would not cure is no shortage: a taint, or a volume that is not there.
    """
    workload = facts.workloads.get(revision)
    if workload is None:
        return None
    pods = [pod for pod in facts.pods.get(revision, ()) if not pod.meta.deleting]
    placed = sum(pod.unschedulable is None for pod in pods)
    missing = f"{max(1, workload.replicas - placed)} of {workload.replicas} replicas do not fit"
    if workload.failure is not None and QUOTA in workload.failure:
        return f"{missing}: {_quote_quota(workload.failure)}"
    said = next((text for pod in pods if (text := _find_want(pod)) is not None), None)
    return None if said is None else f"{missing}: {said}"


def is_shortage_heard(facts: Facts, revision: str, now: datetime) -> bool:
    """Return whether the shortage is older than the moment that an ending pod needs its place."""
    pods = [pod for pod in facts.pods.get(revision, ()) if _find_want(pod) is not None]
    workload = facts.workloads.get(revision)
    if not pods:
        return workload is not None and workload.failure is not None
    return any(now - pod.created >= HEARD_AFTER for pod in pods)


def count_placed(facts: Facts, revision: str | None) -> int:
    """Return the pods of a revision that hold a place on a node, those that are ending too."""
    pods = facts.pods.get(revision or "", ())
    return sum(pod.unschedulable is None and not pod.ended for pod in pods)


def count_pods(facts: Facts, revision: str | None) -> int:
    """Return the places that a revision takes or is about to take."""
    pods = sum(not pod.ended for pod in facts.pods.get(revision or "", ()))
    workload = facts.workloads.get(revision or "")
    return max(pods, workload.replicas if workload is not None else 0)


def _find_want(pod: PodFact) -> str | None:
    text = pod.unschedulable
    if text is None or not any(word in text for word in LACKS_ROOM):
        return None
    return ASIDE.sub("", text).rstrip(" .")


def _quote_quota(failure: str) -> str:
    return failure[failure.index(QUOTA) :]
