"""What is written and summed up at the end, and whether the demo showed what it should."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slipway.api.modeldeployment import Outcome

from tests.demo.story import SampleCounts, Span, Story
from tests.demo.versions import Version
from tests.kubectl import CLONE
from tests.load.record import Record, Totals

REPORT = CLONE / ".demo/report.json"
ACKNOWLEDGE_SECONDS = 1.0
BEFORE_CLIENTS = frozenset({Outcome.REJECTED_BY_GOLDEN_SET, Outcome.REJECTED_BY_SHADOW})
"""Outcomes of versions that must have answered nobody."""


@dataclass(frozen=True, slots=True)
class SeenWeight:
    """Who answered the client while one weight was in force."""

    at: float
    """Seconds from `kubectl apply` to the first of these answers' seconds."""
    candidate_percent: float
    requests: int


@dataclass(frozen=True, slots=True)
class VersionReport:
    """What became of one version."""

    version: str
    outcome: str
    reason: str
    revision: str
    image: str
    stage_seconds: dict[str, float]
    weights_seen_by_client: list[SeenWeight]
    client: Totals
    samples_at_decision: SampleCounts
    pairs: int
    """Copies of requests that it answered, beside stable's answers."""
    decision_to_zero_seconds: float | None


@dataclass(slots=True)
class Seconds:
    """How long the parts took."""

    cluster: float = 0.0
    images: float = 0.0
    install: float = 0.0
    models: float = 0.0
    rollouts: float = 0.0


@dataclass(slots=True)
class Report:
    """The whole demo."""

    versions: list[VersionReport] = field(default_factory=list)
    client_total: Totals = field(default_factory=Totals)
    seconds: Seconds = field(default_factory=Seconds)

    def write(self, path: Path = REPORT) -> None:
        """Write the file that CI and people read."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def report_version(story: Story, records: Sequence[Record], end: float) -> VersionReport:
    """Return the report of a version that was on its way from its apply until `end`."""
    ended = story.end

    return VersionReport(
        version=story.version,
        outcome=ended.outcome if ended else "",
        reason=ended.reason if ended else "",
        revision=story.revision,
        image=story.image,
        stage_seconds={
            stage: round(seconds, 2) for stage, seconds in story.stage_seconds(end).items()
        },
        weights_seen_by_client=seen_weights(story, records, end),
        client=total_of([record for record in records if story.applied <= record.t < end]),
        samples_at_decision=story.samples,
        pairs=story.pairs,
        decision_to_zero_seconds=story.decision_to_zero_seconds,
    )


def seen_weights(story: Story, records: Sequence[Record], end: float) -> list[SeenWeight]:
    """Return the client's own count of the candidate's share under every weight.

    Only seconds that lie wholly under one weight count. The last one is left out, because proxies
    have the next weight a moment before the status says that they acknowledged it.
    """
    seen = []
    for span in story.weight_spans(end):
        last = span.end - 1 - ACKNOWLEDGE_SECONDS
        during = [record for record in records if span.start <= record.t <= last]
        answers = sum(sum(record.revisions.values()) for record in during)
        if answers:
            seen.append(_seen_weight(story, span, during, answers))
    return seen


def _seen_weight(story: Story, span: Span, during: Sequence[Record], answers: int) -> SeenWeight:
    mine = sum(record.revisions.get(story.revision, 0) for record in during)
    at = max(span.start, during[0].t) - story.applied
    return SeenWeight(round(at, 1), round(100 * mine / answers, 2), answers)


def total_of(records: Sequence[Record]) -> Totals:
    """Return what the client counted in these seconds."""
    total = Totals()
    for record in records:
        total = total.plus(record.counts)
    return total


def find_problems(
    report: Report, versions: Sequence[Version], records: Sequence[Record]
) -> list[str]:
    """Say what is not as it should be; nothing when the demo showed what it promises."""
    reported = {version.version: version for version in report.versions}
    problems = []
    for version in versions:
        seen = reported.get(version.version)
        outcome = seen.outcome if seen else "no end"
        if outcome != version.expected:
            problems.append(
                f"version {version.version}: expected {version.expected}, found {outcome}"
            )
        if outcome in BEFORE_CLIENTS and seen and count_answers(seen, records):
            problems.append(f"version {version.version} was rejected, but answered clients before")

    total = report.client_total
    if total.sent == 0:
        problems.append("the client sent no request, so nothing was shown")
    if total.lost:
        causes = describe_causes(records)
        problems.append(f"{total.lost} of {total.sent:,} requests were lost: {causes}")
    return problems


def count_answers(version: VersionReport, records: Sequence[Record]) -> int:
    """Return how many answers the client got from a version."""
    return sum(record.revisions.get(version.revision, 0) for record in records)


def describe_causes(records: Sequence[Record]) -> str:
    """Return what the client saw of the failures, most frequent first."""
    counted: dict[str, int] = {}
    for record in records:
        for cause, count in record.causes.items():
            counted[cause] = counted.get(cause, 0) + count

    ordered = sorted(counted.items(), key=lambda item: -item[1])
    return "; ".join(f"{count} times '{cause}'" for cause, count in ordered[:5])


def render_summary(report: Report) -> str:
    """Return the summary for people."""
    head = (
        f"{'version':7}  {'outcome':20} {'rollout':>8} {'weights the client saw':30}"
        f" {'samples':>13} {'requests':>9} {'failed':>6} {'lost':>5}  to weight 0"
    )

    rows = [_row(version) for version in report.versions]
    total = report.client_total
    foot = f"{'total':7}  {'':20} {'':8} {'':30} {'':13} {total.sent:>9,} {total.failed:>6}"
    return "\n".join([head, *rows, f"{foot} {total.lost:>5}"])


def _row(version: VersionReport) -> str:
    seconds = sum(version.stage_seconds.values())
    weights = " ".join(f"{seen.candidate_percent:.1f}" for seen in version.weights_seen_by_client)
    judged, client = version.samples_at_decision, version.client
    pairs = f"{version.pairs:,} pairs" if version.pairs else "-"
    samples = f"{judged.candidate:,}/{judged.stable:,}" if judged.candidate else pairs
    zero = version.decision_to_zero_seconds

    return (
        f"{'v' + version.version:7}  {version.outcome:20} {seconds:>6.1f} s {weights:30}"
        f" {samples:>13} {client.sent:>9,} {client.failed:>6} {client.lost:>5}"
        f"  {'-' if zero is None else f'{zero:.2f} s'}"
    )
