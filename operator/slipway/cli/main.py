"""The program ``kubectl-slipway``: kubectl finds it on PATH and runs it as ``kubectl slipway``.

A command's module is imported when the command is called, so that the start stays short.
"""

import importlib
import io
import json
import os
import sys

import click

from slipway import __version__
from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.options import common_options
from slipway.cli.session import Flags
from slipway.cli.terminal import exit_on_signals

PROGRAM = "kubectl slipway"
COMPLETE_VARIABLE = "_KUBECTL_SLIPWAY_COMPLETE"

COMMANDS = {
    "get": "List ModelDeployments: versions, weight, stage and reason.",
    "describe": "Show one ModelDeployment: metrics, conditions, next steps.",
    "history": "Show how revisions ended, and why.",
    "watch": "Watch live.",
    "wait": "Wait until a goal is reached; the exit code is the outcome.",
    "plan": "Estimate how long a rollout takes, step by step.",
    "import": "Write a ModelDeployment for what serves today.",
    "dashboard": "Show the fleet and its rollouts in a browser, live.",
    "migrate-storage": "Have all objects stored in one version of the API.",
    "completion": "Print the completion script for a shell.",
}
"""Help of each command; its module has the same name, unless another one stands below."""
RENAMED = {"import": "import_workload", "migrate-storage": "migrate_storage"}
ELSEWHERE = {"dashboard": "slipway.dashboard.command"}
"""Modules with libraries that no other command needs."""
ACTIONS = {
    "promote": "Send all traffic to the candidate now, without further evidence.",
    "approve": "Approve the step that is waiting for approval.",
    "skip": "Skip the rest of this step; the next one is judged again.",
    "abort": "Roll back to stable; the version stays out until `retry`.",
    "retry": "Retry a rejected, held or failed version.",
    "rollback": "Roll back to an earlier promoted revision.",
    "pause": "Pause the rollout; it can still roll back.",
    "resume": "Resume what `pause` paused.",
}
"""Help of each action; all of them are in the module `actions`."""

EPILOG = """\b
Exit codes: 0 done, 1 error, 2 usage error, 3 rejected or rolled back,
4 timed out, 5 refused by the operator, 6 not found.

\b
Start with:    kubectl slipway get -A
Then:          kubectl slipway describe NAME -n NAMESPACE
More:          kubectl slipway COMMAND --help

kubectl's own flags work too: --context, --kubeconfig, --as, --user, --token, …
"""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        del ctx
        return [*COMMANDS, *ACTIONS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or None."""
        del ctx
        if cmd_name not in {*COMMANDS, *ACTIONS}:
            return None
        name = RENAMED.get(cmd_name, cmd_name)
        module = "actions" if cmd_name in ACTIONS else name
        path = ELSEWHERE.get(cmd_name, f"slipway.cli.commands.{module}")
        found: click.Command = getattr(importlib.import_module(path), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing one of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Actions, answered by the operator"):
            formatter.write_dl(list(ACTIONS.items()))


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@common_options
@click.version_option(__version__, "--version", message="kubectl-slipway %(version)s")
def slipway() -> None:
    """Inspect and control model rollouts."""


def main() -> int:
    """Run the program and return its exit code."""
    flags = Flags()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    try:
        with exit_on_signals():
            code = slipway.main(
                prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, obj=flags, standalone_mode=False
            )
    except CliError as error:
        print_error(error, as_json=flags.json)
        return error.code
    except click.ClickException as error:
        _print_usage_error(error, as_json=flags.json or "--json" in sys.argv[1:])
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # what is still buffered must not fail again when Python flushes it at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    return code if isinstance(code, int) else ExitCode.OK


def _print_usage_error(error: click.ClickException, *, as_json: bool) -> None:
    """Print what is wrong with the command line; its --json may not have been read yet."""
    if not as_json:
        error.show()
        return
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    usage = CliError(error.format_message(), ExitCode.USAGE, hint=f"{path} --help")
    print_error(usage, as_json=True)


def print_error(error: CliError, *, as_json: bool) -> None:
    """Print on standard error what went wrong, and what to try."""
    if as_json:
        printed = {"code": int(error.code), "message": error.message, "try": error.hint}
        sys.stderr.write(json.dumps({"error": printed}, ensure_ascii=False) + "\n")
        return
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  try: {error.hint}\n")
