"""What words mean in colour, and numbers as people read them."""

from collections.abc import Sequence

from slipway.api.verdict import Verdict
from slipway.cli.objects import HistoryEntry, ModelDeployment
from slipway.cli.text import Cell, Style
from slipway.policy.ends import name_end

GOOD = frozenset({Verdict.PASS, "Passed", "Promoted", "Done", "True"})
BAD = frozenset(
    {
        Verdict.FAIL,
        "Rejected",
        "RolledBack",
        "RejectedByGoldenSet",
        "RejectedBySignature",
        "RejectedByShadow",
        "RevisionRejected",
        "RollingBack",
        "Failed",
        "FailedToStart",
        "PackagingFailed",
        "False",
    }
)
WAITING = frozenset(
    {
        Verdict.INCONCLUSIVE,
        Verdict.NO_DATA,
        "Waiting",
        "Paused",
        "AwaitingApproval",
        "Aborted",
        "Superseded",
        "Unknown",
    }
)
SHARES = ("errors", "client-errors", "pair-", "latency-p", "golden-set", "traffic")
"""Beginnings of the names of metrics that are shares of requests or cases, shown as percent."""
MEAN_LATENCY = "latency-mean"
"""The metric in milliseconds; what users bring has a unit of its own, which nothing names."""
BARS = "▁▂▃▄▅▆▇█"
TENTH = 0.0995
"""From here on one digit after the point is enough."""


def style_word(text: str) -> Cell:
    """Return a verdict, outcome or stage in the colour of what it means."""
    if text in GOOD:
        return Cell(text, Style.GOOD)
    if text in BAD:
        return Cell(text, Style.BAD)
    return Cell(text, Style.WARN if text in WAITING else Style.PLAIN)


def style_end(md: ModelDeployment, entry: HistoryEntry) -> Cell:
    """Return how a revision ended, in the colour of what it means."""
    outcomes = [it.outcome for it in md.history]
    position = md.history.index(entry)
    return style_word(name_end(outcomes, position, is_serving=md.stable is not None))


def style_stage(md: ModelDeployment) -> Cell:
    """Return the stage, or why the rollout is stuck where a person is needed."""
    stalled = md.stalled
    return style_word(md.rollout.stage) if stalled is None else Cell(stalled.reason, Style.BAD)


def format_figure(metric: str, value: float | None) -> str:
    """Return a metric's number with its unit, as far as that is known."""
    if value is None:
        return "-"
    if metric == MEAN_LATENCY:
        return f"{value:.4g} ms"
    if not metric.startswith(SHARES):
        return f"{value:.4g}"
    return f"{value * 100:.2f}%" if value < TENTH else f"{value * 100:.1f}%"


def draw_sparkline(values: Sequence[float], limit: float | None) -> str:
    """Return one bar for each value, the newest on the right; the limit is half of the height.

    So a bar in the upper half is above the limit, however large the numbers are.
    """
    top = 2 * limit if limit else max(values, default=0.0) or 1.0
    last = len(BARS) - 1
    return "".join(BARS[min(last, max(0, round(value / top * last)))] for value in values)
