"""ModelDeployments, one line each."""

from collections.abc import Sequence
from datetime import datetime

from slipway.cli.objects import ModelDeployment
from slipway.cli.text import WIDE, Cell, Line, Screen, Style, make_line, make_table
from slipway.cli.time_format import format_age
from slipway.cli.views.styles import style_stage, style_word

WIDE_ENOUGH = 100
"""Columns; with fewer the age is left out, so that there is room for the reason."""


def format_listing(
    found: Sequence[ModelDeployment], now: datetime, *, namespaces: bool, width: int = WIDE
) -> Screen:
    """Return the table; with the namespaces where several may be in it."""
    rows = [_listing_row(md, now) for md in found]
    headings = ["NAME", "STABLE", "CANDIDATE", ">WEIGHT", ">AGE", "STAGE", "READY", "REASON"]
    if width < WIDE_ENOUGH:
        rows, headings = [row[:4] + row[5:] for row in rows], headings[:4] + headings[5:]
    if namespaces:
        headings = ["NAMESPACE", *headings]
        rows = [[md.namespace, *row] for md, row in zip(found, rows, strict=True)]
    return make_table(headings, rows, width=width)


def _listing_row(md: ModelDeployment, now: datetime) -> list[str | Cell]:
    ready = md.condition("Ready")
    candidate = md.candidate
    return [
        md.name,
        md.stable.version if md.stable else "-",
        candidate.version if candidate else "-",
        f"{candidate.weight}%" if candidate else "-",
        format_age(md.created_at, now),
        _stage_and_step(md),
        style_word(ready.status if ready else "Unknown"),
        md.ready_message,
    ]


def format_change(md: ModelDeployment, now: datetime) -> Line:
    """Return where it stands in one line, as `watch` and `wait` print it."""
    verdicts = " ".join(
        f"{metric.name}={metric.verdict}"
        for metric in md.rollout.metrics
        if md.candidate is not None
    )

    pieces: list[str | Cell] = [
        Cell(now.strftime("%H:%M:%S") + "  ", Style.DIM),
        Cell(f"{md.namespace}/{md.name}  ", Style.STRONG),
        _stage_and_step(md),
        f"  {_weights_shown(md)}",
        f"  {verdicts}" if verdicts else "",
        f"  {md.ready_message}",
    ]
    return make_line(*pieces)


def _weights_shown(md: ModelDeployment) -> str:
    serving = [found for found in (md.stable, md.candidate) if found is not None]
    return " ".join(f"{found.version}={found.weight}%" for found in serving) or "nothing serving"


def _stage_and_step(md: ModelDeployment) -> Cell:
    shown = style_stage(md)
    if shown.text != "Progressing" or not md.rollout.steps:
        return shown
    return Cell(f"{shown.text} {md.rollout.step}/{md.rollout.steps}", Style.ACCENT)
