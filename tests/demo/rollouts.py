"""The rollouts: versions applied one after the other, watched, under a client load."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.demo.report import Report, VersionReport, report_version
from tests.demo.story import Story
from tests.demo.timeline import CLIENT_SECONDS, HEADER, Moment, Timeline
from tests.demo.versions import NAME, NAMESPACE, Version, render_model_deployment
from tests.demo.watch import StatusWatch
from tests.kubectl import Kubectl
from tests.load.plan import LoadPlan
from tests.load.pod import Load
from tests.load.record import Record
from tests.models.digits import Images
from tests.models.samples import FAULT_MARKER

END_SECONDS = 300.0
"""A version that has not ended by then has failed the demo."""
LOOK_SECONDS = 1.0
SETTLE_SECONDS = 3.0
"""Load between two versions, so that what a version left behind would show under its name."""
RATE = 120.0
IMAGE_DIGITS = 4


class NotEnded(Exception):
    """A version came to no end in time."""


@dataclass(slots=True)
class Scene:
    """All that a rollout of the demo needs."""

    kubectl: Kubectl
    load: Load
    timeline: Timeline
    report: Report
    began: float
    """Unix time in seconds."""
    records: Sequence[Record] = ()
    """All that the client counted, once its load has ended."""


def make_load(kubectl: Kubectl, image: str, images: Images) -> Load:
    """Return the client load on the demo's model; it is not started yet."""
    plan = LoadPlan(
        address=f"{NAME}:8000",
        model=NAME,
        images=images.round(IMAGE_DIGITS).tolist(),
        marker=FAULT_MARKER,
        rate=RATE,
    )
    return Load(kubectl, NAMESPACE, image, plan)


def roll_out(scene: Scene, versions: Sequence[Version]) -> None:
    """Apply the versions in turn and fill in the report, also when one comes to no end.

    Raises:
        NotEnded: a version came to no end in time.
        KubectlError: the cluster refused something.

    """
    scene.timeline.say(HEADER)
    stories: list[Story] = []
    try:
        for version in versions:
            stories.append(begin(scene, version))
            follow(scene, stories[-1])
            if version is versions[0]:
                scene.load.start()
            settle(scene)
        scene.load.stop()
    finally:
        scene.load.remove()
        scene.records = scene.load.records()
        scene.report.client_total = scene.load.total
        scene.report.versions = tell(stories, scene.records)
        scene.report.seconds.rollouts = round(time.time() - scene.began, 1)


def begin(scene: Scene, version: Version) -> Story:
    """Apply a version with kubectl, and begin its story."""
    scene.timeline.say()
    scene.timeline.say(f"kubectl apply: version {version.version}, {version.what}")
    before = scene.kubectl.get(NAMESPACE, "modeldeployment", NAME) or {}
    history = before.get("status", {}).get("history", [])
    known = sum(entry["version"] == version.version for entry in history)
    applied = time.time()
    scene.kubectl.apply(render_model_deployment(version))
    return Story(version.version, applied, known)


def follow(scene: Scene, story: Story) -> None:
    """Watch until the version has ended.

    Raises:
        NotEnded: it did not in time.

    """
    with StatusWatch(scene.kubectl, NAMESPACE, NAME) as watch:
        while story.end is None:
            status = watch.next(LOOK_SECONDS)
            now = time.time()
            if status is not None:
                story.observe(now, status)
            show(scene, story, now)
            if story.end is None and now - story.applied > END_SECONDS:
                raise NotEnded(f"version {story.version} came to no end in {END_SECONDS:.0f} s")


def settle(scene: Scene) -> None:
    """Let the load go on for a moment."""
    scene.load.wait_for(lambda since: since.sent >= RATE * SETTLE_SECONDS, "the client's answers")


def show(scene: Scene, story: Story, now: float) -> None:
    """Show where a version stands."""
    records = scene.load.records(since=now - CLIENT_SECONDS - 1)
    total = scene.load.total
    scene.timeline.show(Moment(now - scene.began, story, records, total))


def tell(stories: Sequence[Story], records: Sequence[Record]) -> list[VersionReport]:
    """Return the reports; a version's time ends where the next one's begins."""
    ends = [later.applied for later in stories[1:]]
    ends.append(float(records[-1].t + 1) if records else time.time())
    return [report_version(story, records, end) for story, end in zip(stories, ends, strict=True)]
