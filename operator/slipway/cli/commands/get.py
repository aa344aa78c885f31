"""The command get: ModelDeployments, one a line."""

from slipway.cli.kubectl import RESOURCE
from slipway.cli.objects import ModelDeployment, parse_model_deployment
from slipway.cli.options import (
    name_argument,
    pass_session,
    require_one_or_many,
    selection_options,
    slipway_command,
)
from slipway.cli.session import Session, utc_now
from slipway.cli.text import make_line
from slipway.cli.views.listing import format_listing


@slipway_command(
    "get",
    examples="""
    kubectl slipway get                    # in the namespace of your context
    kubectl slipway get -A                 # in all namespaces
    kubectl slipway get -A --json | jq -r '.items[] | select(.candidate) | .name'
    """,
)
@name_argument(required=False)
@selection_options
@pass_session
def get(session: Session, name: str | None, everywhere: bool, selector: str | None) -> None:
    """List ModelDeployments: versions, the candidate's weight, the stage and the reason."""
    require_one_or_many(name, everywhere=everywhere, selector=selector)
    if name is not None:
        found = [session.find(name)]
    else:
        found = _list_objects(session, everywhere=everywhere, selector=selector)

    if session.json:
        session.show_json({"items": found})
    elif found:
        session.show(format_listing(found, utc_now(), namespaces=everywhere, width=session.width))
    else:
        session.show([make_line(_nothing_found(session, everywhere=everywhere))])


def _list_objects(
    session: Session, *, everywhere: bool, selector: str | None
) -> list[ModelDeployment]:
    words = ["get", RESOURCE, *(["-A"] if everywhere else [])]
    words += ["-l", selector] if selector else []
    listed = session.kubectl.json(*words)
    return [parse_model_deployment(item) for item in listed.get("items", ())]


def _nothing_found(session: Session, *, everywhere: bool) -> str:
    if everywhere:
        return "no ModelDeployments in any namespace"
    namespace = session.kubectl.namespace()
    return (
        f"no ModelDeployments in namespace {namespace}; in all namespaces: kubectl slipway get -A"
    )
