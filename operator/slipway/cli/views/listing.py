"""All ModelDeployments, one line each."""

from collections.abc import Sequence
from datetime import datetime

from slipway.cli.objects import ModelDeployment
from slipway.cli.text import WIDE, Cell, Screen, Style, line, table
from slipway.cli.times import age
from slipway.cli.views.styles import stage, word

WIDE_ENOUGH = 100
"""Columns; with fewer the age is left out, so that there is room for the reason."""


def listing(
    found: Sequence[ModelDeployment], now: datetime, *, namespaces: bool, width: int = WIDE
) -> Screen:
    """Return the table; with the namespaces where several may be in it."""
    rows = [_row(md, now) for md in found]
    head = ["NAME", "STABLE", "CANDIDATE", ">WEIGHT", ">AGE", "STAGE", "READY", "WHY"]
    if width < WIDE_ENOUGH:
        rows, head = [row[:4] + row[5:] for row in rows], head[:4] + head[5:]
    if namespaces:
        head = ["NAMESPACE", *head]
        rows = [[md.namespace, *row] for md, row in zip(found, rows, strict=True)]
    return table(head, rows, width=width)


def _row(md: ModelDeployment, now: datetime) -> list[str | Cell]:
    ready = md.condition("Ready")
    candidate = md.candidate
    return [
        md.name,
        md.stable.version if md.stable else "-",
        candidate.version if candidate else "-",
        f"{candidate.weight} %" if candidate else "-",
        age(md.created_at, now),
        _step_of(md),
        word(ready.status if ready else "Unknown"),
        ready.message if ready else md.rollout.message,
    ]


def change(md: ModelDeployment, now: datetime) -> Screen:
    """Return where it stands in one line, as `watch` and `wait` print it."""
    ready = md.condition("Ready")
    metrics = " ".join(
        f"{metric.name}={metric.verdict}"
        for metric in md.rollout.metrics
        if md.candidate is not None
    )
    pieces: list[str | Cell] = [
        Cell(now.strftime("%H:%M:%S") + "  ", Style.DIM),
        Cell(f"{md.namespace}/{md.name}  ", Style.STRONG),
        _step_of(md),
        f"  {_weights(md)}",
        f"  {metrics}" if metrics else "",
        f"  {ready.message if ready else md.rollout.message}",
    ]
    return (line(*pieces),)


def _weights(md: ModelDeployment) -> str:
    shown = [found for found in (md.stable, md.candidate) if found is not None]
    return " ".join(f"{found.version}={found.weight}%" for found in shown) or "nothing serves"


def _step_of(md: ModelDeployment) -> Cell:
    shown = stage(md)
    if shown.text != "Progressing" or not md.rollout.steps:
        return shown
    return Cell(f"{shown.text} {md.rollout.step}/{md.rollout.steps}", Style.ACCENT)
