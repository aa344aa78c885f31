"""The program ``kubectl-slipway``: kubectl finds it on PATH and runs it as ``kubectl slipway``.

Each command's module is imported when it is called for, so that the start stays short.
"""

import importlib
import io
import json
import os
import sys

import click

from slipway import __version__
from slipway.cli.options import common
from slipway.cli.problems import Exit, Problem
from slipway.cli.session import Wishes
from slipway.cli.terminal import ended_in_order

PROGRAM = "kubectl slipway"
COMPLETE_VARIABLE = "_KUBECTL_SLIPWAY_COMPLETE"

COMMANDS = {
    "get": ("looking", "List ModelDeployments: versions, weights, stage, why."),
    "describe": ("looking", "One screen about one: numbers, conditions, what happens next."),
    "history": ("looking", "How its revisions ended, and why."),
    "watch": ("following", "The same live: redrawn on a terminal, lines elsewhere."),
    "wait": ("waiting", "Wait for an outcome; the exit code says which."),
    "plan": ("planning", "How long a rollout takes at the present traffic, step by step."),
    "promote": ("acting", "Go to 100 % now; history says that the evidence was skipped."),
    "approve": ("acting", "Let the step begin that waits for approval."),
    "skip": ("acting", "End the waiting at this step; the next one is judged again."),
    "abort": ("acting", "Bring the traffic back; the version stays out."),
    "retry": ("acting", "Give a rejected, held or failed version another try."),
    "rollback": ("acting", "Go back to an earlier revision that was promoted."),
    "pause": ("acting", "Stop advances and clocks; never a rollback."),
    "resume": ("acting", "End the pause that `pause` began."),
    "completion": ("completing", "Print the script that completes in your shell."),
}
"""Module and help of each command."""


class Lazy(click.Group):
    """Imports a command's module when the command is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"slipway.cli.commands.{COMMANDS[cmd_name][0]}")
        made: click.Command = getattr(module, cmd_name)
        return made

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing one of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


EPILOG = """\b
Exit codes: 0 done, 1 error, 2 wrong usage, 3 rejected or rolled back,
4 not in time, 5 the operator refused, 6 not found.

\b
Start with:    kubectl slipway get -A
Then:          kubectl slipway describe NAME -n NAMESPACE
More:          kubectl slipway COMMAND --help

kubectl's own flags work too: --context, --kubeconfig, --as, --user, --token, …
"""


@click.group(
    cls=Lazy,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@common
@click.version_option(__version__, "--version", message="kubectl-slipway %(version)s")
def slipway() -> None:
    """Look at rollouts of models, and take part in them."""


def main() -> int:
    """Run the program and return its exit code."""
    wishes = Wishes()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with ended_in_order():
            code = slipway.main(
                prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, obj=wishes, standalone_mode=False
            )
    except Problem as problem:
        complain(problem, as_json=wishes.json)
        return problem.code
    except click.ClickException as error:
        _misused(error, as_json=wishes.json or "--json" in sys.argv[1:])
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code if isinstance(code, int) else Exit.OK


def _misused(error: click.ClickException, *, as_json: bool) -> None:
    """Say what is wrong with the command line; where --json stands in it, it may be unread yet."""
    if not as_json:
        error.show()
        return
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    complain(Problem(error.format_message(), Exit.USAGE, hint=f"{path} --help"), as_json=True)


def complain(problem: Problem, *, as_json: bool) -> None:
    """Say on standard error what went wrong, and what to try."""
    if as_json:
        said = {"code": int(problem.code), "message": problem.message, "try": problem.hint}
        sys.stderr.write(json.dumps({"error": said}, ensure_ascii=False) + "\n")
        return
    sys.stderr.write(f"error: {problem.message}\n")
    if problem.hint:
        sys.stderr.write(f"  try: {problem.hint}\n")
