"""Which object is imported by what, and how the outcome is written."""

from collections.abc import Iterable, Mapping
from typing import Any

from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.takeover.deployment import import_deployment
from slipway.cli.takeover.kserve import import_inference_service
from slipway.cli.takeover.progressive import import_canary, import_rollout
from slipway.cli.takeover.takeover import Takeover

KINDS = ("InferenceService", "Rollout", "Canary", "Deployment")
"""In the order in which a file is searched: what stands above a Deployment comes first."""


def import_one(old: Mapping[str, Any], around: Iterable[Mapping[str, Any]]) -> Takeover:
    """Return the draft for an object of one of the kinds.

    Raises:
        CliError: the kind is another one, or the object lacks what every such object has.

    """
    kind = str(old.get("kind", ""))
    try:
        match kind:
            case "InferenceService":
                return import_inference_service(old)
            case "Rollout":
                return import_rollout(old, around)
            case "Canary":
                return import_canary(old, around)
            case "Deployment":
                return import_deployment(old, around)
            case _:
                message = f"cannot import kind {kind!r}: expected {', '.join(KINDS)}"
    except (KeyError, TypeError, AttributeError) as error:
        name = old.get("metadata", {}).get("name", "")
        message = f"{kind}/{name} is not what its type says: {type(error).__name__} {error}"
    raise CliError(message, ExitCode.USAGE)


def describe_takeover(draft: Takeover) -> list[str]:
    """Return the lines that stand above the manifest: what is missing, and what comes next."""
    lines = [f"From {draft.origin} in namespace {draft.namespace}."]
    if draft.left:
        lines += ["", "Not taken over:"]
        lines += [f"* {found.field}: {found.reason}" for found in draft.left]
    lines += ["", "Next: read it, `kubectl apply` it, wait until it serves, then move the clients"]
    if draft.services:
        listed = ", ".join(draft.services)
        lines.append(f"of Service {listed} to Service {draft.name}; docs/coming-over.md shows how.")
    else:
        lines.append(f"to Service {draft.name}; docs/coming-over.md shows how.")
    return lines
