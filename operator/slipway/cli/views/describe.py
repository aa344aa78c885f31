"""One screen about one ModelDeployment."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from slipway.cli.objects import (
    HistoryEntry,
    LastAction,
    LastRollback,
    Metric,
    ModelDeployment,
    Revision,
)
from slipway.cli.text import WIDE, Cell, Line, Screen, Style, columns, cut, line, table, wrapped
from slipway.cli.times import age, duration
from slipway.cli.views.coming import Say, coming
from slipway.cli.views.serving import serving
from slipway.cli.views.styles import figure, sparkline, stage, word

Looks = Mapping[str, Sequence[float]]
"""Of each metric: the candidate's numbers at the last looks, the newest last."""
INDENT = 2
NEXT_INDENT = 8
MOST_HISTORY = 3
LONGEST_BAR = 20
WIDE_ENOUGH = 100
"""Columns; with fewer some things are left out."""
MOST_BARS, FEWER_BARS = 20, 8
ROLES = {"Pause": "asks at a Fail", "Advisory": "rolls back only", "ReportOnly": "report only"}
COUNTED = frozenset({"Progressing", "Baking", "Paused", "AwaitingApproval"})
"""Stages in which the analysis is about the step under way."""


def describe(
    md: ModelDeployment, now: datetime, say: Say, *, width: int = WIDE, looks: Looks | None = None
) -> Screen:
    """Return the screen."""
    blocks = [
        _head(md, now, width),
        _versions(md, now, width),
        _steps(md, width),
        _analysis(md, now, width, looks or {}),
        _next(md, now, say, width),
        _conditions(md, now, width),
        serving(md, width),
        _past(md, now, width),
    ]
    return joined(blocks)


def joined(blocks: Sequence[Screen]) -> Screen:
    """Return the blocks that have lines, an empty line between them."""
    screen: list[Line] = []
    for block in blocks:
        if block:
            screen += [(), *block] if screen else block
    return tuple(screen)


def _head(md: ModelDeployment, now: datetime, width: int) -> Screen:
    shown = stage(md)
    style = Style.STRONG if shown.style is Style.PLAIN else shown.style
    pieces = [Cell(f"{md.namespace}/{md.name}", Style.STRONG), Cell("   "), Cell(shown.text, style)]
    if md.candidate is not None and md.rollout.stage in COUNTED:
        pieces.append(Cell(f" at {md.rollout.acked_weight} %"))
    if md.rollout.underlying and md.rollout.underlying != md.rollout.stage:
        pieces.append(Cell(f" (in {md.rollout.underlying})", Style.DIM))
    if md.is_paused and md.rollout.stage != "Paused":
        pieces.append(Cell(" (paused)", Style.WARN))
    pieces.append(Cell(f"   age {age(md.created_at, now)}", Style.DIM))
    message = _said(md)
    return (tuple(pieces), *(wrapped(message, width, indent=0) if message else ()))


def _versions(md: ModelDeployment, now: datetime, width: int) -> Screen:
    rows = [
        _revision_row(role, found, now)
        for role, found in (("stable", md.stable), ("candidate", md.candidate))
        if found is not None
    ]
    asked = {found.version for found in (md.stable, md.candidate) if found is not None}
    if md.version and md.version not in asked:
        rows.append([Cell("in the spec", Style.DIM), md.version, "-", "-", "-", "-", ""])
    if not rows:
        return ()
    head = ("", "VERSION", "REVISION", ">WEIGHT", ">READY", ">SINCE", "TRAFFIC")
    return table(head, rows, indent=INDENT, width=width)


def _revision_row(role: str, found: Revision, now: datetime) -> list[str | Cell]:
    bar = "█" * round(found.weight * LONGEST_BAR / 100)
    style = Style.ACCENT if role == "candidate" else Style.DIM
    return [
        role,
        Cell(found.version, Style.STRONG),
        found.revision,
        f"{found.weight} %",
        Cell(str(found.ready_replicas), Style.PLAIN if found.ready_replicas else Style.BAD),
        age(found.since, now),
        Cell(bar, style),
    ]


def _steps(md: ModelDeployment, width: int) -> Screen:
    """Return the ladder: what is done, where it stands, what comes."""
    if md.candidate is None or md.stable is None:
        return ()
    if md.rollout.unjudged:
        return wrapped(
            f"straight to 100 %: {md.rollout.unjudged}", width, indent=9, first="  steps"
        )
    at = md.rollout.acked_weight
    rungs = [
        (step.weight, _rung(step.weight, step.hold_seconds, approval=step.needs_approval))
        for step in md.policy.steps
    ]
    bake = 100 - md.policy.bake_control_percent
    rungs.append((bake, f"{bake} % bake {duration(md.policy.bake_seconds)}"))
    words = [f"{_mark(weight, at)}{text}" for weight, text in rungs]
    return wrapped("  ".join([*words, "100 %"]), width, indent=INDENT + 7, first="  steps")


def _rung(weight: int, hold: int, *, approval: bool) -> str:
    more = [f"hold {duration(hold)}"] if hold else []
    more += ["approval"] if approval else []
    return f"{weight} %" + (f" ({', '.join(more)})" if more else "")


def _mark(weight: int, at: int) -> str:
    if weight == at:
        return "▶ "
    return "✓ " if weight < at else ""


def _analysis(md: ModelDeployment, now: datetime, width: int, looks: Looks) -> Screen:
    if not md.rollout.metrics or (md.candidate is None and md.holds("Ready")):
        return ()
    head = ["METRIC", "VERDICT", ">CANDIDATE", ">STABLE", ">LIMIT", ">SAMPLES", ">SINCE"]
    rows = [_metric_row(md, metric, now) for metric in md.rollout.metrics]
    bars = [_bars(metric, looks, width) for metric in md.rollout.metrics]
    if width >= WIDE_ENOUGH or not any(bars):
        head.append(">LOOKED")
        for row, metric in zip(rows, md.rollout.metrics, strict=True):
            row.append(age(metric.last_check, now))
    if any(bars):
        head.append("LAST LOOKS")
        for row, drawn in zip(rows, bars, strict=True):
            row.append(Cell(drawn, Style.ACCENT))
    rows += _hook_rows(md, len(head))
    return (*table(head, rows, indent=INDENT, width=width), *_notes(md, width))


def _notes(md: ModelDeployment, width: int) -> Screen:
    """Return what the analysis says of each metric, in words."""
    return tuple(
        part
        for metric in md.rollout.metrics
        if metric.message
        for part in wrapped(
            f"{metric.name}: {metric.message}", width, indent=2 * INDENT, style=Style.DIM
        )
    )


def _bars(metric: Metric, looks: Looks, width: int) -> str:
    seen = looks.get(metric.name) or metric.looks
    most = MOST_BARS if width >= WIDE_ENOUGH else FEWER_BARS
    return sparkline(seen[-most:], metric.limit) if len(seen) > 1 else ""


def _hook_rows(md: ModelDeployment, columns: int) -> list[list[str | Cell]]:
    """Return the hooks of the present step, as rows of the metrics' table."""
    asked = [hook for hook in md.rollout.hooks if hook.step == md.rollout.step]
    rest = [""] * (columns - 2)
    return [[hook.name, word(hook.verdict), *rest] for hook in asked]


def _metric_row(md: ModelDeployment, metric: Metric, now: datetime) -> list[str | Cell]:
    counted = f"{metric.samples:,}"
    if metric.stable_samples:
        counted += f" / {metric.stable_samples:,}"
    since = metric.since or (md.rollout.step_started_at if metric.last_check else None)
    return [
        metric.name
        if metric.role == "Required"
        else f"{metric.name} ({ROLES.get(metric.role, metric.role)})",
        word(metric.verdict),
        figure(metric.name, metric.candidate),
        figure(metric.name, metric.stable),
        figure(metric.name, metric.limit),
        counted,
        age(since, now),
    ]


def _next(md: ModelDeployment, now: datetime, say: Say, width: int) -> Screen:
    found = coming(md, now, say)
    parts = [
        _paragraph(text, width, "  next" if number == 0 else "")
        for number, text in enumerate(found)
    ]
    return tuple(row for part in parts for row in part)


def _paragraph(text: str, width: int, first: str) -> Screen:
    """Wrap a sentence, but never a command: people paste it."""
    sentence, colon, pasted = text.partition(": kubectl ")
    if not colon or NEXT_INDENT + columns(text) <= width:
        return wrapped(text, width, indent=NEXT_INDENT, first=first)
    head = wrapped(sentence + ":", width, indent=NEXT_INDENT, first=first)
    return (*head, line(" " * (NEXT_INDENT + INDENT), f"kubectl {pasted}"))


def _conditions(md: ModelDeployment, now: datetime, width: int) -> Screen:
    if not md.conditions:
        return ()
    rows: list[list[str | Cell]] = [
        [entry.type, _claim(entry.type, entry.status), entry.reason, age(entry.since, now), message]
        for entry in md.conditions
        for message in [entry.message if entry.message != _said(md) else "as above"]
    ]
    head = ("CONDITION", "STATUS", "REASON", ">SINCE", "MESSAGE")
    return table(head, rows, indent=INDENT, width=width)


def _said(md: ModelDeployment) -> str:
    ready = md.condition("Ready")
    return ready.message if ready and ready.message else md.rollout.message


def _claim(kind: str, status: str) -> Cell:
    """Colour a claim; Reconciling and Stalled are no good when they hold."""
    if kind == "Stalled":
        return Cell(status, Style.BAD if status == "True" else Style.GOOD)
    if kind == "Reconciling":
        return Cell(status, Style.WARN if status == "True" else Style.GOOD)
    return word(status)


def _past(md: ModelDeployment, now: datetime, width: int) -> Screen:
    rows: list[Line] = []
    if md.last_action is not None:
        rows += wrapped(_action(md.last_action, now), width, indent=11, first="  action")
    if md.last_rollback is not None:
        rows += wrapped(_rollback(md.last_rollback, now), width, indent=11, first="  rollback")
    if md.rollout.skipped and md.candidate is not None:
        rows += wrapped(md.rollout.skipped, width, indent=11, first="  skipped")
    for number, entry in enumerate(reversed(md.history[-MOST_HISTORY:])):
        rows.append(_ended(entry, now, "  history" if number == 0 else "", width))
    return tuple(rows)


def _action(last: LastAction, now: datetime) -> str:
    return f"{last.verb} by {last.by}, {age(last.at, now)} ago: {last.result}"


def _rollback(last: LastRollback, now: datetime) -> str:
    whence = f"{last.from_} → {last.to}" if last.to else f"from {last.from_}"
    took = ""
    if last.decided_at is not None and last.traffic_restored_at is not None:
        seconds = (last.traffic_restored_at - last.decided_at).total_seconds()
        took = f", traffic back after {seconds:.2f} s"
    return f"{whence}, decided {age(last.decided_at, now)} ago{took}"


def _ended(entry: HistoryEntry, now: datetime, first: str, width: int) -> Line:
    head = line(
        first.ljust(11), f"{entry.version}  ", word(entry.outcome), f"  {age(entry.at, now)} ago  "
    )
    used = sum(columns(cell.text) for cell in head)
    reason = entry.reason if entry.outcome != "Promoted" else entry.unjudged
    return (*head, Cell(cut(reason, max(10, width - used)), Style.DIM))
