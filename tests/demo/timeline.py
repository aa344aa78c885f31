"""The live timeline: a line whenever something changed, and one now and then."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from slipway.api.modeldeployment import AnalysisStatus, Stage

from tests.demo.story import DECIDED, Story
from tests.demo.units import describe_figures
from tests.load.record import Record, Totals

EVERY_SECONDS = 5.0
CLIENT_SECONDS = 3
"""The client's share is that of so many last seconds."""
LONGEST_TEXT = 150

HEADER = (
    f"{'time':>6}  {'version':7}  {'stage':12} {'weight':>6} {'client':>7}"
    f" {'samples':>13} {'requests':>9} {'failed':>6}  verdict"
)
COLOURS = {
    "Pass": "32",
    "Promoted": "1;32",
    "Fail": "1;31",
    "RolledBack": "1;33",
    "RejectedByGoldenSet": "1;33",
    "RejectedByShadow": "1;33",
    "undecided": "2",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What one line is made from."""

    seconds: float
    """Since the demo's first rollout began."""
    story: Story
    records: list[Record]
    """The client's last seconds."""
    total: Totals


class Timeline:
    """Prints moments; colours only on a terminal."""

    def __init__(self, *, coloured: bool | None = None, with_metrics: bool = True) -> None:
        """With metrics, a line tells each with its numbers; without, the rollout's own message."""
        self._coloured = sys.stdout.isatty() if coloured is None else coloured
        self._state = decisive_state if with_metrics else state_of_rollout
        self._describe = describe_verdict if with_metrics else describe_message
        self._printed: tuple[object, ...] = ()
        self._at = float("-inf")
        self.lines: list[str] = []
        """All that was said, without colours."""

    def say(self, text: str = "") -> None:
        """Print a text at once."""
        self.lines += text.split("\n")
        print(self._colour(text), flush=True)

    def show(self, moment: Moment) -> None:
        """Print a line if anything changed that people decide on, or after a while."""
        if not has_begun(moment.story):
            return

        state = self._state(moment.story)
        if state == self._printed and moment.seconds - self._at < EVERY_SECONDS:
            return

        self._printed, self._at = state, moment.seconds
        self.say(render_line(moment, self._describe))

    def _colour(self, text: str) -> str:
        if not self._coloured:
            return text
        return WORDS.sub(lambda word: f"\033[{COLOURS[word[0]]}m{word[0]}\033[0m", text)


WORDS = re.compile(rf"\b({'|'.join(COLOURS)})\b")


def has_begun(story: Story) -> bool:
    """Tell whether the operator has taken up the version, or is done with it already."""
    return stage_of(story) != Stage.IDLE or story.running is not None or story.end is not None


def decisive_state(story: Story) -> tuple[object, ...]:
    """Return what makes a new line when it changes; numbers alone do not."""
    verdicts = tuple(
        (entry.name, verdict_word(entry)) for entry in story.analysis if is_decided(entry)
    )
    running = story.running
    golden = story.golden_set is not None
    return (stage_of(story), running.weight if running else None, verdicts, golden, story.end)


def state_of_rollout(story: Story) -> tuple[object, ...]:
    """Return what makes a new line where no line tells the metrics."""
    running = story.running
    return (stage_of(story), running.weight if running else None, story.end)


def is_decided(entry: AnalysisStatus) -> bool:
    """Tell whether the metric says yes or no; all else is a way of not knowing yet."""
    return entry.verdict in DECIDED


def verdict_word(entry: AnalysisStatus) -> str:
    """Return the verdict in one word."""
    return entry.verdict if is_decided(entry) else "undecided"


def stage_of(story: Story) -> str:
    """Return the stage with its step."""
    rollout = story.status.rollout if story.status else None
    if rollout is None:
        return Stage.IDLE.value
    at_step = rollout.stage is Stage.PROGRESSING and rollout.step
    return f"Step {rollout.step} of {rollout.steps}" if at_step else rollout.stage.value


def render_line(moment: Moment, describe: Callable[[Story], str] | None = None) -> str:
    """Return the line of a moment; what stands at its end is the verdict unless told otherwise."""
    story, total = moment.story, moment.total
    minutes, seconds = divmod(int(moment.seconds), 60)
    running = story.running
    weight = f"{running.weight}%" if running else "-"

    counts = story.samples_now
    is_under_test = story.had_traffic and counts.candidate
    samples = f"{counts.candidate:,}/{counts.stable:,}" if is_under_test else "-"
    if story.pairs and not story.had_traffic:
        samples = f"{story.pairs:,} pairs"

    return (
        f"{f'{minutes}:{seconds:02d}':>6}  {'v' + story.version:7}  {stage_of(story):12}"
        f" {weight:>6} {client_share(moment):>7} {samples:>13} {total.sent:>9,} {total.failed:>6}"
        f"  {(describe or describe_verdict)(story)}"
    ).rstrip()


def client_share(moment: Moment) -> str:
    """Return how much of the client's answers came from this version lately."""
    revision = moment.story.revision
    answers = sum(sum(record.revisions.values()) for record in moment.records)
    if not revision or not answers:
        return "-"
    mine = sum(record.revisions.get(revision, 0) for record in moment.records)
    return f"{mine / answers:.1%}"


def describe_verdict(story: Story) -> str:
    """Return the outcome, the metrics with their numbers, or what the rollout waits for."""
    if story.end is not None:
        return _shorten(f"{story.end.outcome} · {story.end.reason}".rstrip(" ·"))

    rollout = story.status.rollout if story.status else None
    if rollout is None:
        return ""

    metrics = [entry for entry in story.analysis if entry.samples]
    if rollout.stage in {Stage.PROGRESSING, Stage.BAKING} and metrics:
        return " · ".join(describe_metric(entry) for entry in metrics)

    golden = story.golden_set
    if stage_of(story) == Stage.PROGRESSING and golden is not None:
        return _shorten(f"golden set {golden.verdict}: {golden.message}")
    return _shorten(rollout.message)


def describe_message(story: Story) -> str:
    """Return the outcome, or what the rollout says of itself."""
    if story.end is not None:
        return describe_verdict(story)
    rollout = story.status.rollout if story.status else None
    return _shorten(rollout.message) if rollout else ""


def describe_metric(entry: AnalysisStatus) -> str:
    """Return one metric: its name, its verdict, and its numbers."""
    return f"{entry.name} {verdict_word(entry)} {describe_figures(entry)}".rstrip()


def _shorten(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST_TEXT else plain[: LONGEST_TEXT - 1] + "…"
