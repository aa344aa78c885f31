"""The gap of strategy Recreate: the one revision is gone before the other starts.

Nobody is answered in between. So the route is emptied first, and users get 503 at once; pods stop
once nothing is in flight; and only when the last of them is gone the others start. The way back is
the same way.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import ModelDeploymentStatus, Recreate, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.times import from_wire, to_wire
from slipway.policy.decision import Event
from slipway.policy.facts import Facts, PodFact
from slipway.policy.proxies import name_late_proxies
from slipway.policy.rollout.capacity import drain_time, full_capacity
from slipway.policy.rollout.draft import DRAIN_POLL, SAFETY_POLL, Draft
from slipway.policy.weights import ALL


def is_in_gap(draft: Draft) -> bool:
    """Return whether nobody is answered now, by decision."""
    recreate = draft.memory.recreate
    return recreate is not None and recreate.gap_started_at is not None and bool(draft.candidate)


def is_gap_too_long(draft: Draft) -> bool:
    """Return whether the candidate has had the time that it may take to start, and more.

    Nobody is answered meanwhile, so it is not given the time that a rollout has.
    """
    recreate, known = draft.memory.recreate, draft.candidate_revision
    began = from_wire(recreate.gap_started_at) if recreate is not None else None
    if began is None or known is None:
        return False
    stopping = drain_time(draft.facts, draft.stable or "")
    return draft.now - began > stopping + timedelta(seconds=known.snapshot.start_seconds)


def has_given_way(draft: Draft) -> bool:
    """Return whether stable has stopped, or is about to, for this candidate."""
    recreate = draft.memory.recreate
    has_begun = recreate is not None and bool(recreate.gap_started_at or recreate.gap_seconds)
    return has_begun and bool(draft.candidate)


def open_gap(draft: Draft, recreate: Recreate) -> Draft:
    """Take everybody out of the route, and say so: from now on nobody is answered."""
    began = recreate.model_copy(update={"gap_started_at": to_wire(draft.now)})
    draft = draft.remember(replace(draft.memory, recreate=began))
    stable, candidate = (version_of(draft, name) for name in (draft.stable or "", draft.candidate))
    message = _describe_gap(draft.memory.stage, stable, candidate, draft.memory.cause)
    return draft.tell(Reason.RECREATING, message, warning=True).route({})


def recall_gap(status: ModelDeploymentStatus) -> Event | None:
    """Return the event of a gap that lasts; None: there is none.

    Who opened it may have been killed before the event was recorded.
    """
    rollout, stable, candidate = status.rollout, status.stable, status.candidate
    recreate = rollout.recreate if rollout is not None else None
    if rollout is None or recreate is None or recreate.gap_started_at is None:
        return None
    if stable is None or candidate is None:
        return None
    stage = rollout.underlying or rollout.stage
    message = _describe_gap(stage, stable.version, candidate.version, rollout.cause)
    return Event(Why(Reason.RECREATING, message), warning=True)


def _describe_gap(stage: Stage, stable: str, candidate: str, cause: str) -> str:
    if stage is Stage.ROLLING_BACK:
        return f"nobody is answered until version {stable} is back: {cause}"
    return (
        f"nobody is answered from now on: version {stable} stops before version {candidate} starts"
    )


def note_end_of_gap(draft: Draft) -> Draft:
    """Note that every proxy sends all requests to a revision that is ready, and how long it took.

    The length is from the write that emptied the route to the last acknowledgement.
    """
    facts, recreate = draft.facts, draft.memory.recreate
    began = from_wire(recreate.gap_started_at) if recreate is not None else None
    if recreate is None or began is None or facts.route is None or not facts.is_acknowledged:
        return draft
    serves = [name for name, weight in facts.route.weights.items() if weight == ALL]
    if not serves or not facts.ready(serves[0]) or not _is_reopened(facts, began):
        return draft

    lasted = (max(began, facts.acknowledged_at or draft.now) - began).total_seconds()
    seconds = round(recreate.gap_seconds + lasted, 1)
    over = recreate.model_copy(update={"gap_started_at": None, "gap_seconds": seconds})
    message = f"revision {serves[0]} answers after a gap of {lasted:.1f} s"
    return draft.remember(replace(draft.memory, recreate=over)).tell(Reason.GAP_ENDED, message)


def keep_apart(draft: Draft, replicas: Mapping[str, int]) -> dict[str, int]:
    """Return the replicas with one of the two revisions at 0: who leaves, until its pods are gone.

    `replicas` are those that each would have beside the other.
    """
    recreate, candidate, stable = draft.memory.recreate, draft.candidate, draft.stable
    is_pair = recreate is not None and bool(candidate) and stable is not None
    if not is_pair and not draft.spec.rollout.recreates:
        return dict(replicas)
    found = {it: number if _has_place(draft.facts, it) else 0 for it, number in replicas.items()}
    if recreate is None or not candidate or stable is None:
        return found
    if not has_given_way(draft):
        return found | {candidate: 0}

    is_back = draft.memory.stage is Stage.ROLLING_BACK
    leaves, comes = (candidate, stable) if is_back else (stable, candidate)
    workload = draft.facts.workloads.get(leaves)
    left = 0 if workload is None or _is_idle(draft, leaves) else workload.replicas
    is_free = left == 0 and _has_place(draft.facts, comes)
    wanted = max(replicas.get(comes, 0), recreate.replicas if is_back else 0)
    return found | {leaves: left, comes: wanted if is_free else 0}


def is_gone(facts: Facts, revision: str) -> bool:
    """Return whether no pod of a revision runs any more, or could."""
    workload = facts.workloads.get(revision)
    is_stopped = workload is None or workload.replicas == 0
    return is_stopped and not any(map(_may_run, facts.pods.get(revision, ())))


def await_end(draft: Draft, revision: str, stage: Stage) -> Draft | None:
    """Return the draft that waits until a revision has left; None: it is gone."""
    facts = draft.facts
    version, is_routed = version_of(draft, revision), facts.highest_weight_running(revision) > 0
    if not is_routed and is_gone(facts, revision):
        return None
    if is_routed or not facts.is_acknowledged:
        message = f"stopping version {version}: waiting for {name_late_proxies(facts)}"
    else:
        pods = len(facts.pods.get(revision, ()))
        message = f"stopping version {version}: waiting for its {pods} pods to go"
    waiting = draft.enter(stage, Reason.RECREATING, message, requeue_after=DRAIN_POLL)
    return waiting.route({})


def bring_back(draft: Draft) -> Draft | None:
    """Stop the candidate, then start stable; None: every proxy sends its requests to stable."""
    facts, recreate, stable = draft.facts, draft.memory.recreate, draft.stable
    if recreate is None or stable is None or not has_given_way(draft):
        return None
    if facts.written_weight(stable) == ALL and not is_in_gap(draft):
        return None
    if not is_in_gap(draft):
        draft = open_gap(draft, recreate)

    waiting = await_end(draft, draft.candidate, Stage.ROLLING_BACK)
    if waiting is not None:
        return waiting
    need, ready = max(1, recreate.replicas), facts.ready(stable)
    if ready < need:
        message = (
            f"bringing version {version_of(draft, stable)} back: {ready} of {need} replicas ready"
        )
        waiting = draft.enter(
            Stage.ROLLING_BACK, Reason.RECREATING, message, requeue_after=SAFETY_POLL
        )
        return waiting.route({})
    message = f"version {version_of(draft, stable)} is back; {name_late_proxies(facts)}"
    back = draft.enter(Stage.ROLLING_BACK, Reason.RECREATING, message, requeue_after=DRAIN_POLL)
    return back.route({stable: ALL})


def empty_weights(draft: Draft) -> bool:
    """Return whether the route has to stay empty: nobody who may have the traffic is ready."""
    if not is_in_gap(draft):
        return False
    return not any(
        weight and draft.facts.ready(name) for name, weight in draft.decision.weights.items()
    )


def expect_replicas(facts: Facts) -> int:
    """Return what stable has now, which is what its way back needs."""
    stable = facts.workloads.get(facts.stable or "")
    return max(full_capacity(facts), stable.replicas if stable is not None else 0)


def version_of(draft: Draft, revision: str) -> str:
    """Return the version of a revision; its name, where its record was deleted."""
    known = draft.facts.revisions.get(revision)
    return known.snapshot.version if known is not None else revision


def _has_place(facts: Facts, revision: str) -> bool:
    """Return whether a revision has pods already, or no other one has any."""
    workload = facts.workloads.get(revision)
    if workload is not None and workload.replicas > 0:
        return True
    known = {*facts.workloads, *facts.pods}
    return all(is_gone(facts, other) for other in known if other != revision)


def _is_idle(draft: Draft, revision: str) -> bool:
    """Return whether nobody waits for an answer of a revision that is out of the route."""
    facts = draft.facts
    if facts.highest_weight_running(revision) or not facts.is_acknowledged:
        return False
    since = facts.acknowledged_at
    if since is not None and draft.now - since >= drain_time(facts, revision):
        return True
    traffic = facts.traffic
    return traffic is not None and not traffic.silent and not traffic.in_flight.get(revision)


def _is_reopened(facts: Facts, began: datetime) -> bool:
    """Return whether the acknowledged route is newer than the gap."""
    at = facts.acknowledged_at
    return at is None or at >= began - timedelta(milliseconds=1)


def _may_run(pod: PodFact) -> bool:
    """Return whether a pod may still hold what only one can have; an evicted one does not."""
    return pod.running or pod.meta.deleting or pod.last_exit is None
