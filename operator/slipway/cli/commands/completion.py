"""The command completion: scripts for shells."""

import click
from click.shell_completion import get_completion_class

from slipway.cli.main import COMPLETE_VARIABLE, slipway
from slipway.cli.options import CommandWithExamples

SCRIPT_NAME = "kubectl-slipway"
SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=CommandWithExamples,
    examples="""
    source <(kubectl slipway completion bash)      # in ~/.bashrc
    source <(kubectl slipway completion zsh)       # in ~/.zshrc, after compinit
    kubectl slipway completion fish > ~/.config/fish/completions/kubectl-slipway.fish
    """,
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for `kubectl-slipway`: commands, flags and names.

    `kubectl slipway` needs none: kubectl's own completion asks the program
    kubectl_complete-slipway, which is installed with this one.
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 -- of the three that click has
    click.echo(found(slipway, {}, SCRIPT_NAME, COMPLETE_VARIABLE).source())
