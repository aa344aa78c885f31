"""The command plan. Its modules are heavier than the others': it asks the operator's own judge."""

import time
from typing import TYPE_CHECKING

import click

from slipway.cli.objects import ModelDeployment
from slipway.cli.options import Duration, command, name_argument, with_session
from slipway.cli.problems import Problem, note
from slipway.cli.read import read
from slipway.cli.session import Session, now

if TYPE_CHECKING:
    from slipway.cli.traffic import Measured


@command(
    "plan",
    examples="""
    kubectl slipway plan digits -n vision              # at the traffic of this moment
    kubectl slipway plan digits -n vision --rps 0.5    # at half a request a second
    """,
)
@name_argument()
@click.option("--rps", type=click.FloatRange(min=0), help="Requests per second, by hand.")
@click.option(
    "--measure",
    "seconds",
    type=Duration(),
    default="5s",
    metavar="DURATION",
    help="How long to measure at the router; default 5s.",
)
@with_session
def plan(session: Session, name: str, rps: float | None, seconds: float) -> None:
    """Show how long a rollout takes at the present traffic, step by step.

    The traffic is measured at the router: its counters, read twice through the API server's pod
    proxy (needs `get pods/proxy`). Where that cannot be read, it is what the analysis counted in
    the step under way. `--rps` takes your number instead.
    """
    from slipway.cli.forecasting import as_json, forecast, spec_of  # noqa: PLC0415 -- heavy: only here
    from slipway.cli.views.plan import plan as screen_of  # noqa: PLC0415 -- the same

    manifest = session.manifest(name)
    md = read(manifest)
    measured = _measured(session, md, rps, seconds)
    found = forecast(md, spec_of(manifest), measured, now())
    if session.json:
        session.show_json(as_json(found))
        return
    session.show(screen_of(found, width=session.width))


def _measured(
    session: Session, md: ModelDeployment, rps: float | None, seconds: float
) -> "Measured":
    from slipway.cli.traffic import at_the_router, by_hand, from_the_analysis  # noqa: PLC0415

    if rps is not None:
        return by_hand(rps, md)
    try:
        return at_the_router(session.kubectl, md, seconds, time.sleep)
    except Problem as problem:
        counted = from_the_analysis(md)
        if counted is not None:
            note(problem.message, as_json=session.json)
            return counted
        raise Problem(
            f"the traffic cannot be measured: {problem.message}",
            problem.code,
            hint=session.say("plan", "--rps=100", md=md),
        ) from problem
