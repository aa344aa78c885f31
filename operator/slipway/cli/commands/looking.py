"""Commands that look once: get, describe, history."""

from slipway.cli.kubectl import RESOURCE
from slipway.cli.options import command, many, name_argument, one_or_many, with_session
from slipway.cli.read import read
from slipway.cli.session import Session, now
from slipway.cli.text import line
from slipway.cli.views.describe import describe as screen_about
from slipway.cli.views.history import history as screen_of_history
from slipway.cli.views.listing import listing


@command(
    "get",
    examples="""
    kubectl slipway get                    # in the namespace of your context
    kubectl slipway get -A                 # in all namespaces
    kubectl slipway get -A --json | jq -r '.items[] | select(.candidate) | .name'
    """,
)
@name_argument(required=False)
@many
@with_session
def get(session: Session, name: str | None, everywhere: bool, selector: str | None) -> None:
    """List ModelDeployments: versions, the candidate's weight, the stage and why."""
    one_or_many(name, everywhere=everywhere, selector=selector)
    if name is not None:
        found = [session.find(name)]
    else:
        words = ["get", RESOURCE, *(["-A"] if everywhere else [])]
        words += ["-l", selector] if selector else []
        found = [read(item) for item in session.kubectl.json(*words).get("items", ())]
    if session.json:
        session.show_json({"items": found})
    elif found:
        session.show(listing(found, now(), namespaces=everywhere, width=session.width))
    else:
        where = "in any namespace" if everywhere else f"in namespace {session.kubectl.namespace()}"
        try_ = "" if everywhere else "; all of them: kubectl slipway get -A"
        session.show([line(f"no ModelDeployments {where}{try_}")])


@command(
    "describe",
    examples="""
    kubectl slipway describe digits -n vision
    kubectl slipway describe digits -n vision --json | jq '.rollout.metrics'
    """,
)
@name_argument()
@with_session
def describe(session: Session, name: str) -> None:
    """Show one on one screen: versions, weights, stage, numbers, conditions, what happens next."""
    found = session.find(name)
    if session.json:
        session.show_json(found)
        return
    moment = now()
    session.show(
        screen_about(found, moment, lambda *w: session.say(*w, md=found), width=session.width)
    )


@command("history", examples="kubectl slipway history digits -n vision")
@name_argument()
@with_session
def history(session: Session, name: str) -> None:
    """Show how its revisions ended, the newest first, and what skipped the evidence."""
    found = session.find(name)
    if session.json:
        session.show_json({"items": tuple(reversed(found.history))})
        return
    session.show(screen_of_history(found, now(), width=session.width))
