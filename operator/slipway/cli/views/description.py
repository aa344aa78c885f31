"""All about one ModelDeployment, on one screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.cli.latency_report import LatencyReport
from slipway.cli.objects import (
    CaseDifference,
    Condition,
    HistoryEntry,
    LastAction,
    LastRollback,
    Metric,
    ModelDeployment,
    Revision,
)
from slipway.cli.text import (
    WIDE,
    Cell,
    Line,
    Screen,
    Style,
    cut_text,
    make_line,
    make_table,
    screen_width,
    text_width,
    wrap_lines,
)
from slipway.cli.time_format import format_age, format_duration
from slipway.cli.views.latency_table import format_latency
from slipway.cli.views.next_steps import CommandLine, bake_of, list_next_steps
from slipway.cli.views.serving import format_serving
from slipway.cli.views.styles import (
    draw_sparkline,
    format_figure,
    style_end,
    style_stage,
    style_word,
)

Trends = Mapping[str, Sequence[float]]
"""Of each metric: the candidate's last values, the newest last."""
INDENT = 2
NEXT_INDENT = 8
PAST_INDENT = 11
MOST_HISTORY = 3
EVERYTHING = 100
"""Percent: above every weight that is in force before the promotion."""
LONGEST_BAR = 20
ROLES = {"Pause": "pause", "Advisory": "advisory", "ReportOnly": "report only"}
"""Of metrics; Required is the rule, and not shown."""
COUNTED = frozenset({"Progressing", "Baking", "Paused", "AwaitingApproval"})
"""Stages in which the analysis is about the current step."""


@dataclass(frozen=True, slots=True)
class AnalysisLayout:
    """What the table of the metrics shows besides verdict, numbers and samples."""

    roles: bool = True
    since: bool = True
    updated: bool = True
    bars: int = 20
    """Of a sparkline."""


LAYOUTS = (
    AnalysisLayout(),
    AnalysisLayout(bars=8),
    AnalysisLayout(updated=False, bars=8),
    AnalysisLayout(updated=False, since=False, bars=8),
    AnalysisLayout(updated=False, since=False, roles=False, bars=8),
    AnalysisLayout(updated=False, since=False, roles=False, bars=7),
    AnalysisLayout(updated=False, since=False, roles=False, bars=4),
    AnalysisLayout(updated=False, since=False, roles=False, bars=0),
)
"""The widest that fits the terminal is taken."""


def format_description(
    md: ModelDeployment,
    now: datetime,
    command_line: CommandLine,
    *,
    width: int = WIDE,
    trends: Trends | None = None,
    startup: str = "",
    latency: LatencyReport | str | None = None,
) -> Screen:
    """Return the screen; without `trends` the sparklines are those of the status.

    `latency` is what was measured, or why nothing could be.
    """
    blocks = [
        _format_title(md, now, width),
        _format_revisions(md, now, width),
        (*_format_startup(startup, width), *_format_steps(md, width)),
        _format_analysis(md, now, width, trends or {}),
        _format_next(md, now, command_line, width),
        format_latency(latency, md, width),
        _format_conditions(md, now, width),
        format_serving(md, width),
        _format_past(md, now, width),
    ]

    screen: list[Line] = []
    for block in blocks:
        if block:
            screen += [(), *block] if screen else block
    return tuple(screen)


def _format_title(md: ModelDeployment, now: datetime, width: int) -> Screen:
    """Return the stage and its reason."""
    shown = style_stage(md)
    style = Style.STRONG if shown.style is Style.PLAIN else shown.style
    pieces = [Cell(f"{md.namespace}/{md.name}", Style.STRONG), Cell("   "), Cell(shown.text, style)]

    if md.candidate is not None and md.rollout.stage in COUNTED:
        pieces.append(Cell(f" at {md.rollout.acked_weight}%"))
    if md.rollout.underlying and md.rollout.underlying != md.rollout.stage:
        pieces.append(Cell(f" (in {md.rollout.underlying})", Style.DIM))
    if md.is_paused and md.rollout.stage != "Paused":
        pieces.append(Cell(" (paused)", Style.WARN))
    pieces.append(Cell(f"   age {format_age(md.created_at, now)}", Style.DIM))

    message = md.ready_message
    return (tuple(pieces), *(wrap_lines(message, width, indent=0) if message else ()))


def _format_revisions(md: ModelDeployment, now: datetime, width: int) -> Screen:
    """Return stable, the candidate, and the spec's version where it is neither."""
    rows = [
        _revision_row(role, found, now)
        for role, found in (("stable", md.stable), ("candidate", md.candidate))
        if found is not None
    ]
    running = {found.version for found in (md.stable, md.candidate) if found is not None}
    if md.version and md.version not in running:
        rows.append([Cell("in the spec", Style.DIM), md.version, "-", "-", "-", "-", ""])

    if not rows:
        return ()
    headings = ("", "VERSION", "REVISION", ">WEIGHT", ">READY", ">SINCE", "TRAFFIC")
    return make_table(headings, rows, indent=INDENT, width=width)


def _revision_row(role: str, found: Revision, now: datetime) -> list[str | Cell]:
    bar = "█" * round(found.weight * LONGEST_BAR / 100)
    style = Style.ACCENT if role == "candidate" else Style.DIM
    return [
        role,
        Cell(found.version, Style.STRONG),
        found.revision,
        f"{found.weight}%",
        Cell(str(found.ready_replicas), Style.PLAIN if found.ready_replicas else Style.BAD),
        format_age(found.since, now),
        Cell(bar, style),
    ]


def _format_startup(startup: str, width: int) -> Screen:
    """Return where the seconds of the candidate's start go."""
    return wrap_lines(startup, width, indent=INDENT + 7, first="  start") if startup else ()


def _format_steps(md: ModelDeployment, width: int) -> Screen:
    """Return the ladder: what is done, where it stands, what comes."""
    if md.candidate is None or md.stable is None:
        return ()
    indent = INDENT + 7
    if md.rollout.unjudged:
        text = f"straight to 100%: {md.rollout.unjudged}"
        return wrap_lines(text, width, indent=indent, first="  steps")

    current = md.rollout.acked_weight
    marked = [f"{_step_mark(weight, current)}{text}" for weight, text in list_rungs(md)]
    lines = wrap_lines("  ".join([*marked, "100%"]), width, indent=indent, first="  steps")
    choice = _format_choice(md, width, indent)
    return (*_format_shadow(md, width, indent), *_format_places(md, width, indent), *lines, *choice)


def list_rungs(md: ModelDeployment) -> list[tuple[int, str]]:
    """Return the weights up to the last of the bake, in percent, and what each asks for."""
    rungs = [
        (step.weight, _describe_step(step.weight, step.hold_seconds, approval=step.needs_approval))
        for step in md.steps or ()
    ]
    if md.steps is None:
        rungs.append((EVERYTHING, "chosen from the request rate"))
    rungs += [
        (weight, f"{weight}% bake {format_duration(seconds)}") for weight, seconds in bake_of(md)
    ]
    return rungs


def _format_places(md: ModelDeployment, width: int, indent: int) -> Screen:
    """Return the places that both revisions share, and how many replicas stay ready."""
    shared = md.rollout.capacity
    if shared is None:
        return ()
    why = f": {shared.missing}" if shared.missing else ""
    text = f"swap: {shared.places} places, at least {shared.floor} ready{why}"
    return wrap_lines(text, width, indent=indent, first="  capacity")


def _format_shadow(md: ModelDeployment, width: int, indent: int) -> Screen:
    """Return what copies of requests showed before the steps, with what differs; or why not."""
    shadow = md.rollout.shadow
    if shadow is None:
        return ()
    counted = f"{shadow.pairs:,} pairs, {shadow.dropped:,} copies dropped; "
    numbers = counted if shadow.state != "Off" else ""
    text = f"{shadow.state.lower()}: {numbers}{shadow.message}"
    lines = wrap_lines(text, width, indent=indent, first="  shadow")
    for difference in shadow.differences:
        found = f"for example: {difference.text} (request {difference.input_digest[:19]})"
        lines = (*lines, *wrap_lines(found, width, indent=indent, style=Style.DIM))
    return lines


def _format_choice(md: ModelDeployment, width: int, indent: int) -> Screen:
    """Return what the steps were chosen for."""
    schedule = md.rollout.schedule
    if md.policy.steps is not None or schedule is None or schedule.requests_per_second is None:
        return ()
    text = f"chosen for {schedule.requests_per_second:g} requests/s"
    return wrap_lines(text, width, indent=indent, style=Style.DIM)


def _describe_step(weight: int, hold: int, *, approval: bool) -> str:
    conditions = [f"hold {format_duration(hold)}"] if hold else []
    conditions += ["approval"] if approval else []
    return f"{weight}%" + (f" ({', '.join(conditions)})" if conditions else "")


def _step_mark(weight: int, current: int) -> str:
    if weight == current:
        return "▶ "
    return "✓ " if weight < current else ""


def _format_analysis(md: ModelDeployment, now: datetime, width: int, trends: Trends) -> Screen:
    """Return each metric with its numbers, the hooks of the step, and what was found."""
    if not md.rollout.metrics or (md.candidate is None and md.holds("Ready")):
        return ()
    tables = (_metrics_table(md, now, layout, trends) for layout in LAYOUTS)
    fitting = (table for table in tables if screen_width(table) <= width)
    narrowest = _metrics_table(md, now, LAYOUTS[-1], trends, width=width)
    return (*next(fitting, narrowest), *_format_findings(md, width))


def _metrics_table(
    md: ModelDeployment,
    now: datetime,
    layout: AnalysisLayout,
    trends: Trends,
    *,
    width: int = WIDE,
) -> Screen:
    headings = ["METRIC", "VERDICT", ">CANDIDATE", ">STABLE", ">LIMIT", ">SAMPLES"]
    rows = [_metric_row(metric, layout) for metric in md.rollout.metrics]

    if layout.since:
        headings.append(">SINCE")
        for row, metric in zip(rows, md.rollout.metrics, strict=True):
            since = metric.since or (md.rollout.step_started_at if metric.last_check else None)
            row.append(format_age(since, now))
    if layout.updated:
        headings.append(">UPDATED")
        for row, metric in zip(rows, md.rollout.metrics, strict=True):
            row.append(format_age(metric.last_check, now))

    sparklines = [_metric_sparkline(metric, trends, layout.bars) for metric in md.rollout.metrics]
    if any(sparklines):
        headings.append("TREND")
        for row, sparkline in zip(rows, sparklines, strict=True):
            row.append(Cell(sparkline, Style.ACCENT))

    rows += _hook_rows(md, len(headings))
    return make_table(headings, rows, indent=INDENT, width=width)


def _metric_row(metric: Metric, layout: AnalysisLayout) -> list[str | Cell]:
    role = "" if metric.role == "Required" else f" ({ROLES.get(metric.role, metric.role)})"
    samples = f"{metric.samples:,}"
    if metric.stable_samples:
        samples += f"/{metric.stable_samples:,}"
    return [
        metric.name + (role if layout.roles else ""),
        style_word(metric.verdict),
        format_figure(metric.name, metric.candidate),
        format_figure(metric.name, metric.stable),
        format_figure(metric.name, metric.limit),
        samples,
    ]


def _metric_sparkline(metric: Metric, trends: Trends, bars: int) -> str:
    values = trends.get(metric.name) or metric.looks
    return draw_sparkline(values[-bars:], metric.limit) if bars and len(values) > 1 else ""


def _hook_rows(md: ModelDeployment, columns: int) -> list[list[str | Cell]]:
    """Return the hooks of the current step, as rows of the metrics' table."""
    of_step = [hook for hook in md.rollout.hooks if hook.step == md.rollout.step]
    rest = [""] * (columns - 2)
    return [[hook.name, style_word(hook.verdict), *rest] for hook in of_step]


def _format_findings(md: ModelDeployment, width: int) -> Screen:
    """Return what the analysis says of each metric, in words."""
    found: list[Line] = []
    for metric in md.rollout.metrics:
        if metric.message:
            text = describe_finding(metric)
            found += wrap_lines(text, width, indent=2 * INDENT, style=Style.DIM)
        for case in metric.disagreements:
            text = describe_case(case)
            found += wrap_lines(text, width, indent=3 * INDENT, style=Style.DIM)
    return tuple(found)


def describe_finding(metric: Metric) -> str:
    """Return what the analysis says of a metric, with its name once."""
    names_itself = metric.message.startswith(f"{metric.name} ")
    return metric.message if names_itself else f"{metric.name}: {metric.message}"


def describe_case(case: CaseDifference) -> str:
    """Return what a case of the golden set asked, what was expected and what came."""
    came = f"got {case.got}" if case.got else case.text
    parts = (case.input and f"input {case.input}", case.expected and f"expected {case.expected}")
    return f"case {case.name}: {'; '.join((*filter(None, parts), came))}"


def _format_next(
    md: ModelDeployment, now: datetime, command_line: CommandLine, width: int
) -> Screen:
    """Return what happens next."""
    parts = [
        _wrap_but_commands(text, width, "  next" if number == 0 else "")
        for number, text in enumerate(list_next_steps(md, now, command_line))
    ]
    return tuple(row for part in parts for row in part)


def _wrap_but_commands(text: str, width: int, first: str) -> Screen:
    """Wrap a sentence, but never a command: people paste it."""
    sentence, colon, command = text.partition(": kubectl ")
    if not colon or NEXT_INDENT + text_width(text) <= width:
        return wrap_lines(text, width, indent=NEXT_INDENT, first=first)
    above = wrap_lines(sentence + ":", width, indent=NEXT_INDENT, first=first)
    return (*above, make_line(" " * (NEXT_INDENT + INDENT), f"kubectl {command}"))


def _format_conditions(md: ModelDeployment, now: datetime, width: int) -> Screen:
    if not md.conditions:
        return ()
    headings = ("CONDITION", "STATUS", "REASON", ">SINCE", "MESSAGE")
    rows = [_condition_row(md, found, now) for found in md.conditions]
    return make_table(headings, rows, indent=INDENT, width=width)


def _condition_row(md: ModelDeployment, found: Condition, now: datetime) -> list[str | Cell]:
    is_in_title = found.message == md.ready_message
    return [
        found.type,
        style_status(found.type, found.status),
        found.reason,
        format_age(found.since, now),
        "as above" if is_in_title else found.message,
    ]


def style_status(kind: str, status: str) -> Cell:
    """Colour a condition's status; of Reconciling and Stalled, True is the bad one."""
    if kind == "Stalled":
        return Cell(status, Style.BAD if status == "True" else Style.GOOD)
    if kind == "Reconciling":
        return Cell(status, Style.WARN if status == "True" else Style.GOOD)
    return style_word(status)


def _format_past(md: ModelDeployment, now: datetime, width: int) -> Screen:
    """Return the last actions, the last rollback, and how the last revisions ended."""
    rows: list[Line] = []
    for first, action in (("  action", md.last_action), ("  refused", md.refused_action)):
        if action is not None:
            text = describe_action(action, now)
            rows += wrap_lines(text, width, indent=PAST_INDENT, first=first)

    watched = md.after_promotion
    if watched is not None and watched.finding:
        text = (
            f"than in its rollout, found {format_age(watched.found_at, now)} ago: {watched.finding}"
        )
        rows += wrap_lines(text, width, indent=PAST_INDENT, first="  worse", style=Style.BAD)
    if md.last_rollback is not None:
        text = describe_rollback(md.last_rollback, now)
        rows += wrap_lines(text, width, indent=PAST_INDENT, first="  rollback")
    if md.rollout.skipped and md.candidate is not None:
        rows += wrap_lines(md.rollout.skipped, width, indent=PAST_INDENT, first="  skipped")

    for number, entry in enumerate(reversed(md.history[-MOST_HISTORY:])):
        rows.append(_history_line(md, entry, now, "  history" if number == 0 else "", width))
    return tuple(rows)


def describe_action(action: LastAction, now: datetime) -> str:
    """Return who asked for what, and the answer."""
    return f"{action.verb} by {action.by}, {format_age(action.at, now)} ago: {action.answer}"


def describe_rollback(last: LastRollback, now: datetime) -> str:
    """Return from where to where, and how long users waited for stable."""
    decided = f"decided {format_age(last.decided_at, now)} ago"
    if not last.to_revision:  # nothing served before, so no traffic had to return
        return f"from {last.from_revision}, {decided}"

    restored = ""
    if last.decided_at is not None and last.traffic_restored_at is not None:
        seconds = (last.traffic_restored_at - last.decided_at).total_seconds()
        if seconds:  # none: the candidate had no traffic yet
            restored = f", traffic restored after {seconds:.2f} s"
    return f"{last.from_revision} → {last.to_revision}, {decided}{restored}"


def _history_line(
    md: ModelDeployment, entry: HistoryEntry, now: datetime, first: str, width: int
) -> Line:
    start = make_line(
        first.ljust(PAST_INDENT),
        f"{entry.version}  ",
        style_end(md, entry),
        f"  {format_age(entry.at, now)} ago  ",
    )
    used = sum(text_width(cell.text) for cell in start)
    reason = entry.reason if entry.outcome != "Promoted" else entry.unjudged
    return (*start, Cell(cut_text(reason, max(10, width - used)), Style.DIM))
