"""Flags that every command takes, before or after its name; kubectl's own are passed on."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from slipway.cli.cli_error import CliError
from slipway.cli.session import Flags, Session, open_session
from slipway.cli.time_format import parse_duration

P = ParamSpec("P")
R = TypeVar("R")
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], click.Command]

SHOWN = {
    "--context": "Context of the kubeconfig.",
    "--kubeconfig": "Path of the kubeconfig.",
    "--as": "User to impersonate.",
}
HIDDEN = (
    "--cluster", "--user", "--token", "--username", "--password", "--client-certificate",
    "--client-key", "--as-uid", "--request-timeout", "--tls-server-name",
    "--certificate-authority", "--cache-dir",
)  # fmt: skip


class CommandWithExamples(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        """Take what click takes, and the examples as lines."""
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"  {line.strip()}\n")
        super().format_epilog(ctx, formatter)


class DurationType(click.ParamType[float]):
    """A duration such as 90s, 5m or 1h30m."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        seconds = value if isinstance(value, float) else parse_duration(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a duration; write 90s, 5m or 1h30m", param, ctx)
        return seconds


def slipway_command(name: str, *, examples: str) -> Decorator:
    """Make a command with examples; the common flags come after its own."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made = click.command(name, cls=CommandWithExamples, examples=examples)(function)
        made.params += click.command()(common_options(lambda: None)).params
        return made

    return decorate


def pass_session(
    command: Callable[Concatenate[Session, P], R],
) -> Callable[P, R]:
    """Hand the session to a command as its first argument."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        context = click.get_current_context()
        return command(open_session(context.ensure_object(Flags)), *args, **kwargs)

    return update_wrapper(run, command)


def common_options(command: AnyCommand) -> AnyCommand:
    """Add the flags that every command takes."""
    for option in reversed(_common_options()):
        command = option(command)
    return command


def _common_options() -> list[Callable[[AnyCommand], AnyCommand]]:
    def kubectl_flag(*words: str, **more: Any) -> Callable[[AnyCommand], AnyCommand]:
        return click.option(*words, expose_value=False, callback=_store_kubectl_flag, **more)

    def own_flag(*words: str, **more: Any) -> Callable[[AnyCommand], AnyCommand]:
        return click.option(*words, expose_value=False, callback=_store_own_flag, **more)

    return [
        own_flag("--json", is_flag=True, help="Print stable JSON."),
        kubectl_flag(
            "-n",
            "--namespace",
            metavar="NAME",
            shell_complete=complete_namespace,
            help="Namespace.",
        ),
        *(kubectl_flag(name, metavar="TEXT", help=text) for name, text in SHOWN.items()),
        kubectl_flag("-s", "--server", metavar="TEXT", hidden=True),
        kubectl_flag("--as-group", metavar="TEXT", multiple=True, hidden=True),
        kubectl_flag("--as-user-extra", metavar="TEXT", multiple=True, hidden=True),
        kubectl_flag("--insecure-skip-tls-verify", is_flag=True, default=None, hidden=True),
        *(kubectl_flag(name, metavar="TEXT", hidden=True) for name in HIDDEN),
        own_flag(
            "--colour",
            "--color",
            "colour",
            type=click.Choice(["auto", "always", "never"]),
            help="Use colours; auto: on a terminal unless NO_COLOR is set.",
        ),
    ]


def _store_kubectl_flag(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep one of kubectl's flags; the last one of a name counts."""
    if value not in (None, (), ""):
        values = value if isinstance(value, tuple) else (value,)
        name = max(parameter.opts, key=len)
        context.ensure_object(Flags).kubectl[name] = tuple(str(item) for item in values)


def _store_own_flag(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(context.ensure_object(Flags), parameter.name or "", value)


def name_argument(*, required: bool = True) -> Callable[[AnyCommand], AnyCommand]:
    """Add the NAME of a ModelDeployment, completed from the cluster."""
    return click.argument("name", required=required, shell_complete=complete_name)


def selection_options(command: AnyCommand) -> AnyCommand:
    """Add the flags that choose several ModelDeployments."""
    selector = click.option(
        "-l", "--selector", metavar="LABELS", help="Only those with these labels."
    )
    everywhere = click.option(
        "-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces."
    )
    return everywhere(selector(command))


def require_one_or_many(name: str | None, *, everywhere: bool, selector: str | None) -> None:
    """Check that not both one and several are asked for.

    Raises:
        UsageError: a name, and a flag that chooses several.

    """
    given = [word for word, is_given in (("-A", everywhere), ("-l", bool(selector))) if is_given]
    if name is not None and given:
        raise click.UsageError(
            f"{' and '.join(given)} cannot be combined with the name '{name}': "
            f"choose its namespace with -n, or leave out the name"
        )


def complete_namespace(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the namespace from the cluster."""
    try:
        printed = _completion_session(context).kubectl.run("get", "namespaces", "-o", "name")
    except CliError:
        return []
    found = [entry.rpartition("/")[2] for entry in printed.split()]
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def complete_name(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a ModelDeployment from the cluster."""
    try:
        found = _completion_session(context).kubectl.names()
    except CliError:
        return []
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def complete_revision(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete where `rollback` may go: versions first, then revisions."""
    try:
        md = _completion_session(context).find(context.params.get("name") or "")
    except CliError:
        return []

    stable = md.stable.revision if md.stable is not None else ""
    promoted = [entry for entry in reversed(md.history) if entry.outcome == "Promoted"]
    earlier = {entry.revision: entry.version for entry in promoted if entry.revision != stable}

    found = {version: f"revision {name}" for name, version in earlier.items()}
    found |= {name: f"version {version}" for name, version in earlier.items()}
    return [
        CompletionItem(value, help=text)
        for value, text in found.items()
        if value.startswith(incomplete)
    ]


def _completion_session(context: click.Context) -> Session:
    flags = context.ensure_object(Flags)
    flags.kubectl.setdefault("--request-timeout", ("3s",))
    return open_session(flags)
