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
class DemoRun:
    """All that the rollouts of the demo need."""

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


def roll_out(run: DemoRun, versions: Sequence[Version]) -> None:
    """Apply the versions in turn and fill in the report, also when one comes to no end.

    Raises:
        NotEnded: a version came to no end in time.
        KubectlError: the cluster refused something.

    """
    run.timeline.say(HEADER)
    stories: list[Story] = []

    try:
        for version in versions:
            stories.append(apply_version(run, version))
            follow_story(run, stories[-1])
            # Before version 1 serves there is nobody to answer the load.
            if version is versions[0]:
                run.load.start()
            keep_loading(run)
        run.load.stop()
    finally:
        run.load.remove()
        run.records = run.load.records()
        run.report.client_total = run.load.total
        run.report.versions = report_versions(stories, run.records)
        run.report.seconds.rollouts = round(time.time() - run.began, 1)


def apply_version(run: DemoRun, version: Version) -> Story:
    """Apply a version with kubectl, and begin its story."""
    run.timeline.say()
    run.timeline.say(f"kubectl apply: version {version.version}, {version.what}")

    before = run.kubectl.get(NAMESPACE, "modeldeployment", NAME) or {}
    history = before.get("status", {}).get("history", [])
    known = sum(entry["version"] == version.version for entry in history)

    applied = time.time()
    run.kubectl.apply(render_model_deployment(version))
    return Story(version.version, applied, known)


def follow_story(run: DemoRun, story: Story) -> None:
    """Watch until the version has ended.

    Raises:
        NotEnded: it did not in time.

    """
    with StatusWatch(run.kubectl, NAMESPACE, NAME) as watch:
        while story.end is None:
            status = watch.next(LOOK_SECONDS)
            now = time.time()
            if status is not None:
                story.observe(now, status)

            show_progress(run, story, now)
            if story.end is None and now - story.applied > END_SECONDS:
                raise NotEnded(f"version {story.version} came to no end in {END_SECONDS:.0f} s")


def keep_loading(run: DemoRun) -> None:
    """Let the load go on for a moment."""
    run.load.wait_for(lambda since: since.sent >= RATE * SETTLE_SECONDS, "the client's answers")


def show_progress(run: DemoRun, story: Story, now: float) -> None:
    """Show where a version stands."""
    records = run.load.records(since=now - CLIENT_SECONDS - 1)
    total = run.load.total
    run.timeline.show(Moment(now - run.began, story, records, total))


def report_versions(stories: Sequence[Story], records: Sequence[Record]) -> list[VersionReport]:
    """Return the reports; a version's time ends where the next one's begins."""
    ends = [later.applied for later in stories[1:]]
    ends.append(float(records[-1].t + 1) if records else time.time())
    return [report_version(story, records, end) for story, end in zip(stories, ends, strict=True)]
