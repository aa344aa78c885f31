"""The command history: how revisions ended."""

from slipway.cli.options import name_argument, pass_session, slipway_command
from slipway.cli.session import Session, utc_now
from slipway.cli.views.history_table import format_history


@slipway_command("history", examples="kubectl slipway history digits -n vision")
@name_argument()
@pass_session
def history(session: Session, name: str) -> None:
    """Show how revisions ended, the newest first, and who or what skipped the evidence."""
    md = session.find(name)
    if session.json:
        session.show_json({"items": tuple(reversed(md.history))})
        return
    session.show(format_history(md, utc_now(), width=session.width))
