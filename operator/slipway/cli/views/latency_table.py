"""Where the milliseconds of answers go, by revision, and what that means."""

from slipway.cli.latency_report import LatencyParts, LatencyReport
from slipway.cli.objects import ModelDeployment
from slipway.cli.text import Cell, Screen, Style, make_table, wrap_lines
from slipway.cli.time_format import format_duration

INDENT = 2
MOST = 0.5
"""The share of the mean that names what is slow."""
NOT_SLOW_MILLIS = 5.0
"""Below it nobody asks why, and buckets of whole milliseconds make no shares."""
ADVICE = {
    "queue": "waiting in the server's queue: more replicas shorten that, or a shorter delay of "
    "the dynamic batcher",
    "compute": "the model computing: a larger or faster processor shortens that, and so may "
    "another precision",
    "between": "spent on the way to the server and before its queue: look at the network, at large "
    "inputs and answers, and at the server's processor",
}
"""By the part that is most of the mean."""


def format_latency(found: LatencyReport | str | None, md: ModelDeployment, width: int) -> Screen:
    """Return the table with what it means; or why there is none, in words."""
    if found is None:
        return ()
    if isinstance(found, str):
        return wrap_lines(found, width, indent=INDENT + 9, first="  latency", style=Style.DIM)

    rows = [
        (role, found.parts[revision.revision])
        for role, revision in (("stable", md.stable), ("candidate", md.candidate))
        if revision is not None and revision.revision in found.parts
    ]
    if not rows:
        return ()
    headings = ("LATENCY", ">REQUESTS", ">MEDIAN", ">P99", ">MEAN", ">QUEUE", ">COMPUTE", ">REST")
    table = make_table(
        headings, [_latency_row(role, parts) for role, parts in rows], indent=INDENT, width=width
    )

    lines = [_describe_source(found), *(_explain(role, parts) for role, parts in rows)]
    notes = [
        line
        for text in lines
        if text
        for line in wrap_lines(text, width, indent=2 * INDENT, style=Style.DIM)
    ]
    return (*table, *notes)


def _latency_row(role: str, parts: LatencyParts) -> list[str | Cell]:
    return [
        role,
        f"{parts.requests:,}",
        f"≤ {parts.median:g} ms",
        f"≤ {parts.far:g} ms",
        *map(_format_millis, (parts.mean, parts.queue, parts.compute, parts.between)),
    ]


def _format_millis(millis: float | None) -> str:
    return "-" if millis is None else f"{millis:.3g} ms"


def _describe_source(found: LatencyReport) -> str:
    """Return over which time it is, and what clients wait beside it."""
    over = "since the pods started"
    if found.seconds is not None:
        over = f"over the last {format_duration(found.seconds)}"
    parts = [f"as the router sees it, {over}"]
    if found.outside is not None:
        parts.append(
            f"clients wait {found.outside:.2g} ms more, for the router and their own connections"
        )
    if found.left_out:
        parts.append(f"queue and compute without {found.left_out} more server pods")
    return "; ".join(parts)


def _explain(role: str, parts: LatencyParts) -> str:
    """Return what most of the time is spent on; empty: nothing is most of it, or it is short."""
    shares = {"queue": parts.queue, "compute": parts.compute, "between": parts.between}
    if parts.mean < NOT_SLOW_MILLIS:
        return ""
    for name, millis in shares.items():
        if millis is not None and millis > MOST * parts.mean:
            return f"{role}: {min(1.0, millis / parts.mean):.0%} of the mean is {ADVICE[name]}"
    return ""
