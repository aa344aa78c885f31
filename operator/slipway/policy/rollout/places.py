"""Which revision gets which of the places that two of them share: one replica moves at a time.

Up: stable gives up a replica once the others carry its traffic and all of them are ready; when its
pod is gone, the candidate gets one more, and only when that one is ready the next may go. Down, in
a roll back, it is the same the other way round.
"""

from dataclasses import dataclass

from slipway.api.modeldeployment import CapacityStatus
from slipway.policy.facts import Facts
from slipway.policy.rollout.roles import Roles
from slipway.policy.room import count_pods
from slipway.policy.swap import carriers_of, replicas_for_weight


def swap_replicas(facts: Facts, roles: Roles, capacity: CapacityStatus) -> dict[str, int]:
    """Return the replicas of stable and of the candidate.

    After the rollout stable gets back what it lacks, as the places become free.
    """
    stable, candidate = roles.stable, roles.candidate
    if stable is None:
        return {}
    others = [name for name in facts.workloads if name not in {stable, candidate}]
    left = capacity.places - sum(count_pods(facts, name) for name in others)
    if candidate is None:
        return {stable: _grow(facts, stable, capacity.replicas, left)}
    shared = Shared(facts, capacity, stable, candidate, left)
    return shared.give_back() if not roles.next_weight else shared.take_over(roles)


def candidate_needs(capacity: CapacityStatus, weight: int) -> int:
    """Return the candidate's replicas that must be ready before it gets a weight."""
    return min(replicas_for_weight(weight, capacity.places), capacity.replicas)


def standing_places(facts: Facts, capacity: CapacityStatus, stable: str) -> int:
    """Return the places that there are in a roll back, where others took one or a node is gone."""
    return max(1, capacity.places - _count_lost(facts, stable))


@dataclass(frozen=True, slots=True)
class Shared:
    """Two revisions, and the places that they share."""

    facts: Facts
    capacity: CapacityStatus
    stable: str
    candidate: str
    left: int
    """Places without those of older revisions that still drain."""

    def take_over(self, roles: Roles) -> dict[str, int]:
        """Return the replicas on the way up: at most one of them differs from what there is."""
        facts, stable, candidate = self.facts, self.stable, self.candidate
        kept, has = _present(facts, stable), _present(facts, candidate)
        wants = candidate_needs(self.capacity, roles.next_weight)
        free = self.left - (kept if roles.is_stable_down else count_pods(facts, stable))

        # What was asked for before the places were shared, and finds none, is not asked for.
        if has > free and not facts.highest_weight_running(candidate):
            return {stable: kept, candidate: max(free, 0)}
        if has >= wants:
            room = self.left - count_pods(facts, candidate)
            return {stable: _grow(facts, stable, self.capacity.replicas, room), candidate: has}
        if free > has:
            return {stable: kept, candidate: has + 1 if _is_whole(facts, candidate) else has}
        goes = roles.may_drain and self._may_leave(stable, candidate, self.capacity.places)
        return {stable: kept - 1 if goes else kept, candidate: has}

    def give_back(self) -> dict[str, int]:
        """Return the replicas in a roll back; a candidate without traffic is taken away later.

        Those of the candidate that answer nobody go first, and are not waited for: somebody took
        their place, or they never became ready.
        """
        facts, stable, candidate = self.facts, self.stable, self.candidate
        has, weight = _present(facts, candidate), facts.highest_weight_running(candidate)
        places = standing_places(facts, self.capacity, stable)
        needed = max(1, facts.ready(candidate), carriers_of(weight, places))
        if weight and has > needed:
            has = needed
        elif weight and has > 1 and self._may_leave(candidate, stable, places):
            has -= 1

        room = self.left - count_pods(facts, candidate)
        return {stable: _grow(facts, stable, self.capacity.replicas, room), candidate: has}

    def _may_leave(self, name: str, other: str, places: int) -> bool:
        """Return whether one replica may go: the others carry its traffic, and enough stay."""
        facts, has = self.facts, _present(self.facts, name)
        is_declared = facts.shared is not None  # before the floor is made use of
        if not has or not is_declared or not _is_placed(facts, other):
            return False
        if not facts.ready(name):
            return True  # it answers nobody
        if not (_is_whole(facts, name) and facts.is_acknowledged):
            return False

        ready = facts.ready(name) + facts.ready(other)
        is_carried = carriers_of(facts.highest_weight_running(name), places) < has
        return places == 1 or (is_carried and ready - 1 >= places - 1)


def _is_whole(facts: Facts, name: str) -> bool:
    """Return whether a revision has exactly the pods that it should have, and all are ready."""
    return _is_ready_but_for(facts, name, 0)


def _is_placed(facts: Facts, name: str) -> bool:
    """Return whether all pods of a revision are ready that there is a place for."""
    return _is_ready_but_for(facts, name, _count_lost(facts, name))


def _is_ready_but_for(facts: Facts, name: str, lost: int) -> bool:
    """Return whether a revision has its pods, none of them ends, and all but `lost` are ready."""
    workload = facts.workloads.get(name)
    if workload is None:
        return True
    is_ready = workload.settled and workload.ready == workload.replicas - lost
    is_ending = any(pod.meta.deleting and not pod.ended for pod in facts.pods.get(name, ()))
    return is_ready and count_pods(facts, name) == workload.replicas and not is_ending


def _count_lost(facts: Facts, name: str) -> int:
    """Return the pods of a revision that no node has a place for."""
    pods = facts.pods.get(name, ())
    return sum(pod.unschedulable is not None and not pod.meta.deleting for pod in pods)


def _present(facts: Facts, name: str) -> int:
    workload = facts.workloads.get(name)
    return workload.replicas if workload is not None else 0


def _grow(facts: Facts, name: str, replicas: int, free: int) -> int:
    """Return the replicas with what is free; none is taken away."""
    return max(_present(facts, name), min(replicas, free))
