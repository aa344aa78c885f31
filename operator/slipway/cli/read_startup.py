"""Reads what Kubernetes dates of a candidate's start, with the user's own rights."""

from datetime import datetime

from slipway.api.names import LABEL_OWNER, LABEL_REVISION
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl
from slipway.cli.objects import ModelDeployment
from slipway.cli.startup import describe_parts, find_parts

KINDS = "deployments,pods,jobs"
STARTING = frozenset({"Packaging", "Starting", "Checking"})


def read_startup(kubectl: Kubectl, md: ModelDeployment, now: datetime) -> str:
    """Return what the candidate's start waited for, in one line; empty: none starts."""
    is_starting = md.rollout.stage in STARTING
    if md.candidate is None:
        began = md.rollout.started_at if is_starting else None
        return describe_parts(find_parts((), began, now))

    selector = f"{LABEL_OWNER}={md.name},{LABEL_REVISION}={md.candidate.revision}"
    try:
        found = kubectl.json("get", KINDS, f"--selector={selector}", namespace=md.namespace)
    except CliError as error:
        return f"not shown: {error.message}"
    parts = find_parts(found.get("items", ()), md.rollout.started_at, now)
    return describe_parts([part for part in parts if part.is_over or is_starting])
