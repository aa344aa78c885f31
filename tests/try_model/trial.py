"""One try: the file goes into the cluster, is applied as the next version, and is followed."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median

from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome
from slipway.cli.objects import parse_model_deployment

from tests.demo.report import describe_causes
from tests.demo.story import Story
from tests.demo.timeline import CLIENT_SECONDS, HEADER, Moment, Timeline
from tests.demo.watch import StatusWatch
from tests.kubectl import Kubectl, Manifest
from tests.load.plan import LoadPlan, Wire
from tests.load.pod import Load
from tests.load.record import Record, Totals
from tests.try_model.deployment import (
    FOR_THE_TRY,
    next_version,
    render_six_lines,
    stable_version,
    under_way,
)
from tests.try_model.inputs import ASK, describe, render_request, tensors_of
from tests.try_model.model_files import ModelFile
from tests.try_model.shelf import POD, Shelf, describe_size

CLIENT = "try-client"
END_SECONDS = 300.0
"""A version that has not ended by then is left to itself."""
LONGEST_SECONDS = END_SECONDS + 120.0
"""The client ends by itself after this time, whatever became of this program."""
SETTLE_SECONDS = 3.0
LOOK_SECONDS = 1.0
NEARLY = 0.8
"""A load below this share of its rate is one that the model held up."""
FIRST_SECONDS = 3
"""In which a server that has just begun is slow."""
FEW_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried, and where."""

    kubectl: Kubectl
    image: str
    """Has Python and the libraries of the client."""
    model: ModelFile
    name: str
    namespace: str
    rate: float
    """Requests per second."""
    timeline: Timeline = field(default_factory=lambda: Timeline(with_metrics=False))

    def find(self) -> Manifest | None:
        """Return the ModelDeployment; None before the first version."""
        return self.kubectl.get(self.namespace, "modeldeployment", self.name)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a version."""

    version: str
    outcome: str
    """Of the history; empty where it came to no end that is written there."""
    reason: str
    stable: str
    """The version that serves now; empty: none."""
    before: str = ""
    """The version that served when it was applied; empty: none."""
    request: str = ""
    """A request for the version that serves, as JSON; empty where there is none."""

    @property
    def is_promoted(self) -> bool:
        """Whether it has all of the traffic."""
        return self.outcome == Outcome.PROMOTED


def try_out(trial: Trial) -> Ended:
    """Roll the file out as the next version, with requests meanwhile, and say how it ended.

    Raises:
        KubectlError: the cluster refused something.
        UnknownInputs: no request can be made for the model that serves.

    """
    say = trial.timeline.say
    shelf = Shelf(trial.kubectl, trial.namespace, trial.image)
    shelf.open()

    found = trial.find()
    version = next_version(found)
    say(f"sending {trial.model.name}, {describe_size(trial.model.size)}, to pod {POD}")
    uri = shelf.put(trial.model, trial.name, version)

    six_lines = render_six_lines(trial.name, trial.namespace, version, uri)
    with Requests(trial).running() as requests:
        if stable_version(found):
            requests.start()
        announce(trial, version, six_lines, under_way(found))
        ended = follow(trial, requests, apply(trial, found, version, six_lines))
        ended = replace(ended, before=stable_version(found))
        if ended.is_promoted and not requests.are_sent:
            requests.start()
        requests.settle()
        ended = replace(ended, request=requests.example)

    say()
    say(describe_end(ended))
    say(requests.describe())
    return ended


class Requests:
    """The load on the model; it ends with its block, however that ends."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._load: Load | None = None
        self.example = ""
        """One of them as JSON, where that can be."""

    @property
    def are_sent(self) -> bool:
        """Whether it was started."""
        return self._load is not None

    @property
    def total(self) -> Totals:
        """What was counted so far."""
        return self._load.total if self._load else Totals()

    @contextmanager
    def running(self) -> Iterator["Requests"]:
        """Remove the client's pod at the end."""
        try:
            yield self
        finally:
            if self._load is not None:
                self._load.remove()

    def start(self) -> None:
        """Ask the model for its inputs, and begin to send.

        Raises:
            KubectlError: the model did not answer, or the client sent nothing in time.
            UnknownInputs: no request can be made.

        """
        trial = self._trial
        url = f"http://{trial.name}:8000/v2/models/{trial.name}"
        words = ("exec", POD, "-n", trial.namespace, "--", "python", "-c", ASK, url)
        tensors = tensors_of(json.loads(trial.kubectl.run(*words)))
        self.example = render_request(tensors)
        trial.timeline.say(
            f"sending {trial.rate:g} requests a second, made of random numbers: {describe(tensors)}"
        )

        plan = LoadPlan(
            address=f"{trial.name}:8000",
            model=trial.name,
            tensors=tensors,
            wire=Wire.BINARY,
            rate=trial.rate,
            seconds=LONGEST_SECONDS,
            is_considerate=True,
        )
        self._load = Load(trial.kubectl, trial.namespace, trial.image, plan, name=CLIENT)
        self._load.start(needs_success=False)

    def settle(self) -> None:
        """Send for some more seconds, so that what the end of a rollout does shows; then stop."""
        if self._load is None:
            return
        until = time.time() + SETTLE_SECONDS
        self._load.wait_for(lambda _: time.time() >= until, "the last requests", 3 * SETTLE_SECONDS)
        self._load.stop()

    def moment(self, story: Story, seconds: float) -> Moment:
        """Return what a line of the timeline is made from."""
        since = time.time() - CLIENT_SECONDS - 1
        records = self._load.records(since) if self._load else []
        return Moment(seconds, story, records, self.total)

    def describe(self) -> str:
        """Return what became of the requests."""
        if self._load is None:
            return "no requests were sent: no version serves"
        return describe_requests(
            self.total,
            describe_causes(self._load.records()),
            rate=self._trial.rate,
            seen=steady_rate(self._load.records()),
        )


def announce(trial: Trial, version: str, six_lines: str, earlier: str) -> None:
    """Show what is about to be applied."""
    say = trial.timeline.say
    if earlier:
        say(f"version {earlier} is still under way: version {version} takes its place")
    say(f"\nkubectl apply, version {version}; these six lines serve a model:\n")
    say(six_lines.rstrip())
    say(FOR_THE_TRY)


def apply(trial: Trial, found: Manifest | None, version: str, six_lines: str) -> tuple[Story, int]:
    """Apply the next version; return its story, and the generation that has it."""
    history = (found or {}).get("status", {}).get("history", [])
    known = sum(entry["version"] == version for entry in history)
    applied = time.time()
    words = ("apply", "-f", "-", "-o", "json")
    printed = trial.kubectl.run(*words, stdin=six_lines + FOR_THE_TRY)
    return Story(version, applied, known), json.loads(printed)["metadata"]["generation"]


def follow(trial: Trial, requests: Requests, begun: tuple[Story, int]) -> Ended:
    """Print a line for each change until the version has ended, or 300 s are over."""
    story, generation = begun
    trial.timeline.say(HEADER)

    with StatusWatch(trial.kubectl, trial.namespace, trial.name) as watch:
        while (seconds := time.time() - story.applied) < END_SECONDS:
            status = watch.next(LOOK_SECONDS)
            if status is not None:
                story.observe(watch.came_at, status)
            trial.timeline.show(requests.moment(story, seconds))
            ended = end_of(story, generation)
            if ended is not None:
                return ended

    message = story.status.rollout.message if story.status and story.status.rollout else ""
    return Ended(
        story.version, "", f"no end in {END_SECONDS:.0f} s: {message}", stable_of(story.status)
    )


def end_of(story: Story, generation: int) -> Ended | None:
    """Return how a version ended, or that it waits for a person; None: it is under way."""
    status = story.status
    stable = stable_of(status)
    if story.end is not None:
        return Ended(story.version, story.end.outcome, story.end.reason, stable)
    if status is None:
        return None

    metadata = {"name": "", "namespace": "", "generation": generation}
    model_deployment = parse_model_deployment({"metadata": metadata, "status": status.wire()})
    stalled = model_deployment.stalled
    if stalled is None or not model_deployment.is_observed or not model_deployment.needs_person:
        return None
    return Ended(story.version, "", f"{stalled.reason}: {stalled.message}", stable)


def stable_of(status: ModelDeploymentStatus | None) -> str:
    """Return the version that serves; empty: none."""
    return status.stable.version if status and status.stable else ""


def describe_end(ended: Ended) -> str:
    """Return what became of a version, and which one serves, in a line."""
    if ended.is_promoted:
        return f"version {ended.version} was promoted: it has all of the traffic"
    outcome = f" ({ended.outcome})" if ended.outcome else ""
    reason = " ".join(ended.reason.split())
    serving = f"version {ended.stable} goes on serving" if ended.stable else "no version serves"
    return f"version {ended.version} was not promoted{outcome}: {reason}; {serving}"


def steady_rate(records: Sequence[Record]) -> float | None:
    """Return the requests of most seconds; None where there are too few to say."""
    whole = records[FIRST_SECONDS:-1]
    return median(record.counts.sent for record in whole) if len(whole) >= FEW_SECONDS else None


def describe_requests(total: Totals, causes: str, *, rate: float, seen: float | None) -> str:
    """Return what a client counted that was to send at a rate, and was seen to at another."""
    said = (
        f"{total.sent:,} requests: {total.failed:,} failed, {total.lost:,} of them lost"
        " (the model gave no answer)"
    )
    if causes:
        said += f"\n  {causes}"
    if seen is not None and seen < NEARLY * rate:
        said += (
            f"\n  about {seen:g} a second instead of {rate:g}: the model gets no more than it"
            " answers one after the other"
        )
    return said
