"""The command describe. What reads pages is imported late: it needs the API types."""

from functools import partial

from slipway.cli.options import name_argument, pass_session, slipway_command
from slipway.cli.read_startup import read_startup
from slipway.cli.session import Session, utc_now
from slipway.cli.views.description import format_description


@slipway_command(
    "describe",
    examples="""
    kubectl slipway describe digits -n vision
    kubectl slipway describe digits -n vision --json | jq '.rollout.metrics'
    """,
)
@name_argument()
@pass_session
def describe(session: Session, name: str) -> None:
    """Show one ModelDeployment: versions, weights, stage, metrics, conditions, next steps.

    The table LATENCY says where the milliseconds of an answer go: how long the router waited, and
    what of that was Triton's queue, its computing, and the rest. For it the pages of routers and
    servers are read twice, 1.5 s apart, through the API server's pod proxy (needs `get
    pods/proxy`; without that right one line says so). With `--json` they are not read.
    """
    from slipway.cli.read_latency import LatencyReader  # noqa: PLC0415 -- heavy: only here

    md = session.find(name)
    if session.json:
        session.show_json(md)
        return

    reader = LatencyReader(session.kubectl, md)  # first: its window is open while others read
    now = utc_now()
    startup = read_startup(session.kubectl, md, now)
    command_line = partial(session.command_about, md)
    latency = reader.report()
    screen = format_description(
        md, now, command_line, width=session.width, startup=startup, latency=latency
    )
    session.show(screen)
