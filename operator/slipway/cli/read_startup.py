"""Reads what Kubernetes dates of a candidate's start, with the user's own rights."""

from datetime import datetime

from slipway.api.names import COMPONENT_PACKAGE, LABEL_COMPONENT, LABEL_OWNER, LABEL_REVISION
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl
from slipway.cli.objects import ModelDeployment
from slipway.cli.startup import describe_parts, find_packaging, find_parts

KINDS = "pods,jobs"
STARTING = frozenset({"Packaging", "Starting", "Checking"})


def read_startup(kubectl: Kubectl, md: ModelDeployment, now: datetime) -> str:
    """Return what the candidate's start waited for, in one line; empty: none starts."""
    is_starting = md.rollout.stage in STARTING
    if md.candidate is None and not is_starting:
        return ""

    which = f"{LABEL_COMPONENT}={COMPONENT_PACKAGE}"
    if md.candidate is not None:
        which = f"{LABEL_REVISION}={md.candidate.revision}"
    selector = f"--selector={LABEL_OWNER}={md.name},{which}"
    try:
        found = kubectl.json("get", KINDS, selector, namespace=md.namespace).get("items", ())
    except CliError as error:
        return f"not shown: {error.message}"

    if md.candidate is None:
        return describe_parts(find_packaging(found, now))
    parts = find_parts(found, md.rollout.started_at, now)
    return describe_parts([part for part in parts if part.is_over or is_starting])
