"""The command import: a ModelDeployment from what serves today."""

import sys
from pathlib import Path
from typing import Any

import click

from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.options import pass_session, slipway_command
from slipway.cli.session import Session
from slipway.cli.takeover.workloads import KINDS, describe_takeover, import_one

AROUND = "services,horizontalpodautoscalers.autoscaling,deployments.apps"


@slipway_command(
    "import",
    examples="""
    kubectl slipway import deployment/digits -n vision > digits.yaml
    kubectl slipway import inferenceservice/digits -n vision
    kubectl slipway import -f canary.yaml
    """,
)
@click.argument("workload", required=False, metavar="[KIND/NAME]")
@click.option(
    "-f",
    "--filename",
    type=click.File("r"),
    help="Read manifests from a file instead; - is standard input.",
)
@pass_session
def import_workload(session: Session, workload: str | None, filename: Any) -> None:
    """Write a ModelDeployment for what serves today, and say what could not be taken over.

    Kinds: a Deployment that runs Triton with its Services and its HorizontalPodAutoscaler, an
    InferenceService of KServe, a Rollout of Argo, a Canary of Flagger. Nothing is changed in the
    cluster: the manifest is printed, and above it, as comments, what is missing.
    """
    if (workload is None) == (filename is None):
        raise CliError("give KIND/NAME, or -f FILE", ExitCode.USAGE)
    if filename is not None:
        old, around = _read_file(filename)
    else:
        assert workload is not None  # noqa: S101 -- for the type checker
        old, around = _read_cluster(session, workload)

    draft = import_one(old, around)
    if session.json:
        left = [{"field": it.field, "reason": it.reason} for it in draft.left]
        session.show_json({"manifest": draft.manifest(), "notTakenOver": left})
        return

    import yaml  # noqa: PLC0415 -- heavy: only here

    comments = [f"# {line}".rstrip() for line in describe_takeover(draft)]
    text = yaml.safe_dump(draft.manifest(), sort_keys=False)
    sys.stdout.write("\n".join([*comments, text]))


def _read_cluster(session: Session, workload: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the object, and what stands around it."""
    if "/" not in workload:
        raise CliError(f"{workload!r}: expected KIND/NAME, as deployment/digits", ExitCode.USAGE)
    old = session.kubectl.json("get", workload)
    return old, session.kubectl.json("get", AROUND)["items"]


def _read_file(stream: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the object to import, and all objects of the file.

    Raises:
        CliError: the file is no YAML, or has no object of a kind that can be imported.

    """
    import yaml  # noqa: PLC0415 -- heavy: only here

    try:
        documents = [it for it in yaml.safe_load_all(stream) if isinstance(it, dict)]
    except yaml.YAMLError as error:
        raise CliError(f"{Path(stream.name).name}: {error}", ExitCode.USAGE) from error
    found = [part for it in documents for part in it.get("items", [it])]
    for kind in KINDS:
        for manifest in found:
            if manifest.get("kind") == kind:
                return manifest, found
    raise CliError(f"no object to import: expected one of {', '.join(KINDS)}", ExitCode.USAGE)
