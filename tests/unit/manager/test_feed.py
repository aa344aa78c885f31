"""The feed: which event wakes whom, and that nothing breaks it."""

from collections.abc import Iterable

import pytest
from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import (
    BY_NAME,
    DEPLOYMENT,
    MODEL_DEPLOYMENT,
    MODEL_ROUTE,
    POD,
    ROLE,
    SERVICE_ACCOUNT,
    Kind,
)
from slipway.engine.cache import Cache
from slipway.engine.queue import Key, WorkQueue
from slipway.manager.feed import Feed

DIGITS = Key("ModelDeployment", "vision", "digits")
FACES = Key("ModelDeployment", "vision", "faces")
ROUTER = Key("Router", "vision", "")


def an_object(kind: Kind, name: str = "digits", version: int = 1, **rest: object) -> Manifest:
    metadata = {
        "namespace": "vision",
        "name": name,
        "uid": f"{kind.kind}/{name}",
        "resourceVersion": str(version),
        "generation": 1,
    }
    labels = rest.pop("labels", {})
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {**metadata, "labels": labels},
        **rest,
    }


OURS = {names.LABEL_OWNER: "digits", names.LABEL_COMPONENT: names.COMPONENT_SERVER}
OF_ROUTER = {names.LABEL_COMPONENT: names.COMPONENT_ROUTER}


class World:
    """A feed whose projection is the object's `spec`; FACES has a rollout under way."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.queue = WorkQueue()
        self.feed = Feed(self.cache, self.queue, project=self.project, rollouts=self.rollouts)

    def project(self, _kind: Kind, manifest: Manifest) -> object:
        return manifest["spec"]

    def rollouts(self, _namespace: str) -> Iterable[Key]:
        return [FACES]

    def see(self, manifest: Manifest) -> None:
        self.feed.on_seen(BY_NAME[manifest["kind"]], manifest)

    def woken(self) -> set[Key]:
        keys = set()
        while (key := self.queue.take()) is not None:
            self.queue.done(key)
            keys.add(key)
        return keys


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("manifest", "woken"),
    [
        pytest.param(
            an_object(MODEL_DEPLOYMENT, spec=1), {DIGITS, ROUTER}, id="a new ModelDeployment"
        ),
        pytest.param(an_object(MODEL_ROUTE, spec=1), {DIGITS}, id="its route"),
        pytest.param(
            an_object(DEPLOYMENT, "digits-1", spec=1, labels=OURS), {DIGITS}, id="a child of it"
        ),
        pytest.param(
            an_object(POD, "r-1", spec=1, labels=OF_ROUTER), {ROUTER, FACES}, id="a router pod"
        ),
        pytest.param(
            an_object(DEPLOYMENT, "slipway-router", spec=1, labels=OF_ROUTER),
            {ROUTER},
            id="the router's Deployment",
        ),
        pytest.param(
            an_object(SERVICE_ACCOUNT, "slipway-router", spec=1), {ROUTER}, id="the router's anchor"
        ),
        pytest.param(an_object(POD, "foreign", spec=1), set(), id="a foreign pod"),
    ],
)
def test_an_object_wakes_those_that_it_concerns(
    world: World, manifest: Manifest, woken: set[Key]
) -> None:
    world.see(manifest)
    assert world.woken() == woken
    world.see(manifest)
    assert world.woken() == set(), "nothing changed"


def test_a_deletion_wakes_those_that_the_object_concerned(world: World) -> None:
    pod = an_object(POD, "r-1", spec=1, labels=OF_ROUTER)
    world.see(pod)
    world.woken()
    world.feed.on_gone(POD, pod)

    assert world.woken() == {ROUTER, FACES}
    assert len(world.cache) == 0


def test_a_status_alone_does_not_wake_the_router_but_a_new_generation_does(world: World) -> None:
    world.see(an_object(MODEL_DEPLOYMENT, spec=1))
    world.woken()
    world.see(an_object(MODEL_DEPLOYMENT, version=2, spec=2))

    assert world.woken() == {DIGITS}

    changed = an_object(MODEL_DEPLOYMENT, version=3, spec=2)
    changed["metadata"]["generation"] = 2
    world.see(changed)

    assert world.woken() == {ROUTER}


def test_an_object_that_cannot_be_understood_wakes_its_owner_and_breaks_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.see(an_object(DEPLOYMENT, "digits-1", labels=OURS))  # no spec: the projection raises
    assert world.woken() == {DIGITS}
    assert "projection failed" in caplog.text

    world.feed.on_seen(POD, {})
    assert "event not understood" in caplog.text


def test_the_answer_to_a_write_is_known_before_the_watch_tells(world: World) -> None:
    written = an_object(DEPLOYMENT, "digits-1", version=5, spec="new", labels=OURS)
    world.feed.on_written(DEPLOYMENT, written)
    world.woken()
    world.see(an_object(DEPLOYMENT, "digits-1", version=4, spec="old", labels=OURS))

    assert world.woken() == set(), "a late event of an older version"
    assert world.cache.get(DEPLOYMENT, "vision", "digits-1", str) == "new"


def test_kinds_that_are_not_watched_are_not_kept(world: World) -> None:
    world.feed.on_written(ROLE, an_object(ROLE, spec=1))
    assert len(world.cache) == 0


def test_the_echo_of_a_write_is_not_looked_at_again(world: World) -> None:
    written = an_object(DEPLOYMENT, "digits-1", version=5, spec="new", labels=OURS)
    world.feed.on_written(DEPLOYMENT, written)
    known = world.cache.entry(DEPLOYMENT, "vision", "digits-1")
    world.see(written)

    assert world.cache.entry(DEPLOYMENT, "vision", "digits-1") is known
