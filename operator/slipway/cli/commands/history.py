"""The command history: how revisions ended, and what the cluster keeps of decisions and actions."""

import click

from slipway.cli.object_events import read_events
from slipway.cli.objects import parse_model_deployment
from slipway.cli.options import name_argument, pass_session, slipway_command
from slipway.cli.session import Session, utc_now
from slipway.cli.views.history_table import format_events, format_history


@slipway_command(
    "history",
    examples="""
    kubectl slipway history digits -n vision
    kubectl slipway history digits -n vision --events    # each decision and action of the last hour
    """,
)
@name_argument()
@click.option(
    "--events",
    "with_events",
    is_flag=True,
    help="Show decisions and actions as well, of the hour for which clusters keep events.",
)
@pass_session
def history(session: Session, name: str, *, with_events: bool) -> None:
    """Show how revisions ended, the newest first, and who or what skipped the evidence."""
    manifest = session.manifest(name)
    md, now = parse_model_deployment(manifest), utc_now()
    events = read_events(session.kubectl, manifest) if with_events else None

    if session.json:
        items = {"items": tuple(reversed(md.history))}
        session.show_json(items if events is None else {**items, "events": events})
        return
    screen = format_history(md, now, width=session.width)
    if events is not None:
        screen = (*screen, (), *format_events(events, now, width=session.width))
    session.show(screen)
