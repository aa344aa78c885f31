"""The command plan. What it calls is imported late: it needs the API types and the judge."""

import time
from typing import TYPE_CHECKING

import click

from slipway.cli.cli_error import CliError, print_note
from slipway.cli.objects import ModelDeployment, parse_model_deployment
from slipway.cli.options import DurationType, name_argument, pass_session, slipway_command
from slipway.cli.session import Session, utc_now

if TYPE_CHECKING:
    from slipway.cli.request_rate import RequestRate


@slipway_command(
    "plan",
    examples="""
    kubectl slipway plan digits -n vision              # at the present request rate
    kubectl slipway plan digits -n vision --rps 0.5    # at one request every two seconds
    """,
)
@name_argument()
@click.option(
    "--rps",
    type=click.FloatRange(min=0),
    metavar="NUMBER",
    help="Assume this many requests per second.",
)
@click.option(
    "--measure",
    "seconds",
    type=DurationType(),
    default="5s",
    metavar="DURATION",
    help="Measure at the router for this long; default 5s.",
)
@pass_session
def plan(session: Session, name: str, rps: float | None, seconds: float) -> None:
    """Estimate how long a rollout takes at the present request rate, and whether it finds room.

    The rate is measured at the router: its counters, read twice through the API server's pod proxy
    (needs `get pods/proxy`). Where that fails, it is what the analysis counted in the current
    step. `--rps` takes your number instead. The room is counted from nodes, the pods on them and
    quotas, as far as you may read them.
    """
    from slipway.cli.forecast import (  # noqa: PLC0415 -- heavy: only here
        forecast_json,
        forecast_rollout,
        parse_spec,
    )
    from slipway.cli.read_room import find_places, read_room  # noqa: PLC0415 -- the same
    from slipway.cli.views.forecast_table import format_forecast  # noqa: PLC0415 -- the same
    from slipway.cli.views.room_lines import format_room, room_json  # noqa: PLC0415 -- the same

    manifest = session.manifest(name)
    md, spec = parse_model_deployment(manifest), parse_spec(manifest)
    rate = _find_rate(session, md, rps, seconds)
    room = read_room(session.kubectl, md, spec)
    places = find_places(room, md, spec)
    found = forecast_rollout(md, spec, rate, utc_now(), places=places)

    if session.json:
        session.show_json({**forecast_json(found), "room": room_json(room)})
        return
    screen = format_forecast(found, width=session.width)
    session.show((*screen, *format_room(room, spec.rollout, width=session.width)))


def _find_rate(
    session: Session, md: ModelDeployment, rps: float | None, seconds: float
) -> "RequestRate":
    """Return the request rate from the best source there is.

    Raises:
        CliError: no source has one; the hint says how to give it.

    """
    from slipway.cli.request_rate import (  # noqa: PLC0415 -- the same
        measure_at_router,
        rate_from_analysis,
        take_given_rate,
    )

    if rps is not None:
        return take_given_rate(rps, md)
    try:
        return measure_at_router(session.kubectl, md, seconds, time.sleep)
    except CliError as error:
        counted = rate_from_analysis(md)
        if counted is not None:
            print_note(error.message, as_json=session.json)
            return counted
        raise CliError(
            f"cannot measure the request rate: {error.message}",
            error.code,
            hint=session.command_about(md, "plan", "--rps=100"),
        ) from error
