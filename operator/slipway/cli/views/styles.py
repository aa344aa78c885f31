"""What words mean in colour, and numbers as people read them."""

from collections.abc import Sequence

from slipway.cli.objects import ModelDeployment
from slipway.cli.text import Cell, Style

GOOD = frozenset({"Pass", "Passed", "Promoted", "Done", "True"})
BAD = frozenset(
    {
        "Fail",
        "Rejected",
        "RolledBack",
        "RejectedByGoldenSet",
        "RejectedBySignature",
        "RollingBack",
        "Failed",
        "FailedToStart",
        "PackagingFailed",
        "False",
    }
)
WAITING = frozenset(
    {
        "Inconclusive",
        "NoData",
        "Waiting",
        "Paused",
        "AwaitingApproval",
        "Aborted",
        "Superseded",
        "Unknown",
    }
)
RATIOS = frozenset({"errors", "latency", "golden-set"})
"""Metrics whose numbers are shares, shown as percent."""
BARS = "▁▂▃▄▅▆▇█"
TENTH = 0.0995
"""From here on one digit after the point is enough."""


def word(text: str) -> Cell:
    """Return a verdict, outcome or stage in the colour of what it means."""
    if text in GOOD:
        return Cell(text, Style.GOOD)
    if text in BAD:
        return Cell(text, Style.BAD)
    return Cell(text, Style.WARN if text in WAITING else Style.PLAIN)


def stage(md: ModelDeployment) -> Cell:
    """Return the stage, or why the rollout is stuck where a person is needed."""
    stalled = md.condition("Stalled")
    if stalled is not None and stalled.status == "True":
        return Cell(stalled.reason, Style.BAD)
    return word(md.rollout.stage)


def figure(name: str, value: float | None) -> str:
    """Return a metric's number: shares as percent, others as they are."""
    if value is None:
        return "-"
    if name not in RATIOS:
        return f"{value:.4g}"
    return f"{value * 100:.2f} %" if value < TENTH else f"{value * 100:.1f} %"


def sparkline(values: Sequence[float], limit: float | None) -> str:
    """Return one bar for each value, the last look on the right; the limit is half of the height.

    So a bar in the upper half is above the limit, however large the numbers are.
    """
    top = 2 * limit if limit else max(values, default=0.0) or 1.0
    last = len(BARS) - 1
    return "".join(BARS[min(last, max(0, round(value / top * last)))] for value in values)
