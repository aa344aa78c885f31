"""Histories that keep every promise, and the same ones broken on purpose in each of the ways."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from slipway.api.base import Manifest
from slipway.api.names import COMPONENT_SERVER, LABEL_COMPONENT, LABEL_REVISION

from tests.e2e.promises import find_broken
from tests.e2e.recorded import DEPLOYMENT, MODEL, POD, ROUTE, Change, Recorded

OLD, NEW = "aaaa0001", "bbbb0002"
DIGEST = f"sha256:{64 * '0'}"
AT = "2026-11-30T01:00:00Z"
UID = "uid-of-the-model"


@dataclass
class Story:
    """A rollout, write after write, each a second after the one before it."""

    replicas: int = 4
    allow_gap: str = "Refused"
    generation: int = 2
    changes: list[Change] = field(default_factory=list)

    def write(self, kind: str, name: str, **manifest: Any) -> None:
        owner = [{"uid": manifest.pop("owner", UID)}]
        labels = manifest.pop("labels", {})
        metadata = {"name": name, "uid": UID, "labels": labels, "ownerReferences": owner}
        number = len(self.changes)
        made: Manifest = {"metadata": metadata, **manifest}
        self.changes.append(Change(number, 1000.0 + 10 * number, kind, made))

    def status(self, stable: str, candidate: str | None, **more: Any) -> None:
        status: Manifest = {"observedGeneration": self.generation, **more}
        status["stable"] = {"revision": stable, "version": stable, "digest": DIGEST}
        if candidate is not None:
            status["candidate"] = {"revision": candidate, "version": candidate, "digest": DIGEST}
        spec = {
            "scaling": {"minReplicas": self.replicas},
            "rollout": {"allowGap": self.allow_gap},
        }
        self.write(MODEL, "scans", spec=spec, status=status)

    def swapping(self, *, judged: int = 0, **rollout: Any) -> None:
        """Both revisions share the places."""
        capacity = {"replicas": self.replicas, "places": self.replicas, "floor": self.replicas - 1}
        stage = {"stage": "Progressing", "judgedWeight": judged, "capacity": capacity}
        self.status(OLD, NEW, rollout=stage | rollout, history=[ended(OLD)])

    def route(self, new: int, *, running: int | None = None, **more: Any) -> None:
        backends = [{"revision": OLD, "weight": 100 - new}, {"revision": NEW, "weight": new}]
        weight = new if running is None else running
        proxy = {"name": "router-a", "effectiveWeights": {OLD: 100 - weight, NEW: weight}}
        self.write(ROUTE, "scans", spec={"backends": backends}, status={"proxies": [proxy]}, **more)

    def scale(self, revision: str, replicas: int, **more: Any) -> None:
        labels = {LABEL_REVISION: revision, LABEL_COMPONENT: COMPONENT_SERVER}
        spec, name = {"replicas": replicas}, f"scans-{revision}"
        self.write(DEPLOYMENT, name, labels=labels, spec=spec, **more)

    def pods(self, revision: str, ready: int) -> None:
        """So many pods of a revision are ready, and it has no others."""
        for number in range(self.replicas):
            name, labels = f"{revision}-{number}", {LABEL_REVISION: revision}
            conditions = [{"type": "Ready", "status": "True"}]
            status = {"phase": "Running", "conditions": conditions}
            self.write(POD, name, labels=labels, spec={"nodeName": "node"}, status=status)
            if number >= ready:
                last = self.changes[-1]
                gone = Change(last.number, last.at, last.kind, last.manifest, is_gone=True)
                self.changes[-1] = gone

    def broken(self) -> list[str]:
        return find_broken(self.changes)


def ended(revision: str, **more: Any) -> Manifest:
    return {"revision": revision, "version": revision, "outcome": "Promoted", "at": AT, **more}


def served(**how: Any) -> Story:
    """One version in service on all places, and another one that is to take them."""
    story = Story(**how)
    story.status(OLD, None, history=[ended(OLD)])
    story.scale(OLD, story.replicas)
    story.pods(OLD, story.replicas)
    story.route(0)
    story.swapping()
    return story


def swapped_once(**how: Any) -> Story:
    """One replica of each place has changed hands, and carries a part of the traffic."""
    story = served(**how)
    story.scale(OLD, story.replicas - 1)
    story.pods(OLD, story.replicas - 1)
    story.scale(NEW, 1)
    story.pods(NEW, 1)
    story.route(25)
    story.swapping(judged=25)
    return story


def test_a_swap_that_moves_one_replica_at_a_time_breaks_nothing() -> None:
    story = swapped_once()
    story.route(33)
    story.scale(OLD, 2)
    story.pods(OLD, 2)
    story.scale(NEW, 2)
    story.pods(NEW, 2)
    story.route(50)

    story.scale(OLD, 1)
    story.pods(OLD, 1)
    story.scale(NEW, 3)
    story.pods(NEW, 3)
    story.route(100)
    story.status(NEW, None, history=[ended(OLD), ended(NEW)])

    story.scale(OLD, 0)
    story.pods(OLD, 0)
    story.scale(NEW, 4)
    assert story.broken() == []


def test_an_accepted_gap_breaks_nothing() -> None:
    story = served(replicas=1, allow_gap="Accepted")
    story.scale(OLD, 0)
    assert story.broken() == []


Break = Callable[[], Story]


def kill_old_at_the_shift() -> Story:
    story = swapped_once()
    story.route(100, running=25)
    story.scale(OLD, 0)
    return story


def shift_before_ready() -> Story:
    story = served()
    story.route(5)
    return story


def route_before_endpoints() -> Story:
    story = swapped_once()
    story.route(50)
    return story


def swap_two_at_once() -> Story:
    story = served()
    story.scale(OLD, 2)
    return story


def swap_before_the_last_one_is_ready() -> Story:
    story = swapped_once()
    story.pods(NEW, 0)
    story.scale(OLD, 2)
    return story


def more_than_there_is() -> Story:
    story = served()
    story.scale(NEW, 1)
    return story


def take_the_way_back() -> Story:
    story = swapped_once()
    story.route(100)
    story.scale(OLD, 0)
    story.swapping()
    return story


def less_in_a_surge() -> Story:
    story = served()
    story.status(OLD, NEW, rollout={"stage": "Baking"}, history=[ended(OLD)])
    story.scale(OLD, 3)
    return story


def gap_that_nobody_accepted() -> Story:
    story = served(replicas=1)
    story.scale(OLD, 0)
    return story


def promote_unjudged() -> Story:
    story = served()
    story.status(NEW, None, history=[ended(OLD), ended(NEW)])
    return story


def give_to_the_rejected() -> Story:
    story = swapped_once()
    rejected = [{"revision": NEW, "version": NEW, "outcome": "RolledBack"}]
    rejected[0] |= {"reason": "errors", "at": AT}
    story.status(OLD, None, history=[ended(OLD)], rejected=rejected)
    story.route(33)
    return story


def go_back_to_an_older_spec() -> Story:
    story = swapped_once()
    story.generation = 1
    story.swapping()
    return story


def take_a_step_again() -> Story:
    story = swapped_once()
    story.swapping(step=2)
    story.swapping(step=1)
    return story


def weights_of_more_than_all() -> Story:
    story = swapped_once()
    backends = [{"revision": OLD, "weight": 100}, {"revision": NEW, "weight": 25}]
    story.write(ROUTE, "scans", spec={"backends": backends})
    return story


def somebody_else_owns_it() -> Story:
    story = swapped_once()
    story.route(25, owner="somebody-else")
    return story


MUTANTS: dict[Break, str] = {
    kill_old_at_the_shift: "I3",
    shift_before_ready: "I1",
    route_before_endpoints: "I1",
    swap_two_at_once: "I2",
    swap_before_the_last_one_is_ready: "I2",
    more_than_there_is: "I2",
    take_the_way_back: "I10",
    less_in_a_surge: "I10",
    gap_that_nobody_accepted: "I2",
    promote_unjudged: "I8",
    give_to_the_rejected: "I4",
    go_back_to_an_older_spec: "I5",
    take_a_step_again: "I5",
    weights_of_more_than_all: "I1",
    somebody_else_owns_it: "I9",
}


@pytest.mark.parametrize("breaks", MUTANTS, ids=lambda breaks: breaks.__name__)
def test_what_is_broken_on_purpose_is_found_in_the_history(breaks: Break) -> None:
    assert {text.split(":")[0] for text in breaks().broken()} >= {MUTANTS[breaks]}


def test_changes_are_in_the_order_of_the_writes_and_known_once() -> None:
    recorded = Recorded()
    for kind, number in ((ROUTE, 12), (MODEL, 10), (POD, 11), (MODEL, 10)):
        metadata = {"name": "scans", "resourceVersion": str(number)}
        recorded.note(kind, f"MODIFIED {json.dumps({'metadata': metadata})}")
    recorded.note(POD, 'DELETED {"metadata": {"na')
    assert [change.kind for change in recorded.changes()] == [MODEL, POD, ROUTE]
