"""Flags that every command takes, before or after its name; kubectl's own are passed on."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from slipway.cli.problems import Problem
from slipway.cli.session import Session, Wishes, session
from slipway.cli.times import parse_duration

P = ParamSpec("P")
R = TypeVar("R")
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])

SHOWN = {
    "--context": "Context of the kubeconfig.",
    "--kubeconfig": "Path of the kubeconfig.",
    "--as": "User to act as.",
}
HIDDEN = (
    "--cluster", "--user", "--token", "--username", "--password", "--client-certificate",
    "--client-key", "--as-uid", "--request-timeout", "--tls-server-name",
    "--certificate-authority", "--cache-dir",
)  # fmt: skip


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Note one of kubectl's flags; the last one of a name counts."""
    if value not in (None, (), ""):
        values = value if isinstance(value, tuple) else (value,)
        name = max(parameter.opts, key=len)
        context.ensure_object(Wishes).kubectl[name] = tuple(str(item) for item in values)


def _switch(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(context.ensure_object(Wishes), parameter.name or "", value)


def namespaces(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the namespace from the cluster."""
    try:
        printed = _completing(context).kubectl.run("get", "namespaces", "-o", "name")
    except Problem:
        return []
    found = [entry.rpartition("/")[2] for entry in printed.split()]
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def names(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a ModelDeployment from the cluster."""
    try:
        found = _completing(context).kubectl.names()
    except Problem:
        return []
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def revisions(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete what `rollback` may go back to: versions first, then revisions."""
    try:
        md = _completing(context).find(context.params.get("name") or "")
    except Problem:
        return []
    stable = md.stable.revision if md.stable is not None else ""
    ended = [entry for entry in reversed(md.history) if entry.outcome == "Promoted"]
    served = {entry.revision: entry.version for entry in ended if entry.revision != stable}
    found = {version: f"revision {name}" for name, version in served.items()}
    found |= {name: f"version {version}" for name, version in served.items()}
    return [
        CompletionItem(value, help=text)
        for value, text in found.items()
        if value.startswith(incomplete)
    ]


def _completing(context: click.Context) -> Session:
    wishes = context.ensure_object(Wishes)
    wishes.kubectl.setdefault("--request-timeout", ("3s",))
    return session(wishes)


def _options() -> list[Callable[[AnyCommand], AnyCommand]]:
    def flag(*words: str, **more: Any) -> Callable[[AnyCommand], AnyCommand]:
        return click.option(*words, expose_value=False, callback=_remember, **more)

    def switch(*words: str, **more: Any) -> Callable[[AnyCommand], AnyCommand]:
        return click.option(*words, expose_value=False, callback=_switch, **more)

    return [
        switch("--json", is_flag=True, help="Print JSON of a stable shape."),
        flag("-n", "--namespace", metavar="NAME", shell_complete=namespaces, help="Namespace."),
        *(flag(name, metavar="TEXT", help=text) for name, text in SHOWN.items()),
        flag("-s", "--server", metavar="TEXT", hidden=True),
        flag("--as-group", metavar="TEXT", multiple=True, hidden=True),
        flag("--as-user-extra", metavar="TEXT", multiple=True, hidden=True),
        flag("--insecure-skip-tls-verify", is_flag=True, default=None, hidden=True),
        *(flag(name, metavar="TEXT", hidden=True) for name in HIDDEN),
        switch(
            "--colour",
            "--color",
            "colour",
            type=click.Choice(["auto", "always", "never"]),
            help="Colours; auto: on a terminal, unless NO_COLOR is set.",
        ),
    ]


def common(command: AnyCommand) -> AnyCommand:
    """Add the flags that every command takes."""
    for option in reversed(_options()):
        command = option(command)
    return command


def with_session(
    command: Callable[Concatenate[Session, P], R],
) -> Callable[P, R]:
    """Hand the session to a command as its first argument."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        context = click.get_current_context()
        return command(session(context.ensure_object(Wishes)), *args, **kwargs)

    return update_wrapper(run, command)


class Command(click.Command):
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


Decorator = Callable[[Callable[..., Any]], click.Command]


def command(name: str, *, examples: str) -> Decorator:
    """Make a command with examples; the common flags come after its own."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made = click.command(name, cls=Command, examples=examples)(function)
        made.params += _common_parameters()
        return made

    return decorate


def _common_parameters() -> list[click.Parameter]:
    return click.command()(common(lambda: None)).params


def name_argument(*, required: bool = True) -> Callable[[AnyCommand], AnyCommand]:
    """Add the NAME of a ModelDeployment, completed from the cluster."""
    return click.argument("name", required=required, shell_complete=names)


class Duration(click.ParamType[float]):
    """A duration such as 90s, 5m or 1h30m."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        found = value if isinstance(value, float) else parse_duration(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 5m or 1h30m", param, ctx)
        return found


def many(command: AnyCommand) -> AnyCommand:
    """Add the flags that choose several ModelDeployments."""
    chosen = click.option(
        "-l", "--selector", metavar="LABELS", help="Only those with these labels."
    )
    everywhere = click.option(
        "-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces."
    )
    return everywhere(chosen(command))


def one_or_many(name: str | None, *, everywhere: bool, selector: str | None) -> None:
    """Check that not both one and several are asked for.

    Raises:
        UsageError: a name, and a flag that chooses several.

    """
    given = [word for word, is_given in (("-A", everywhere), ("-l", bool(selector))) if is_given]
    if name is not None and given:
        raise click.UsageError(
            f"{' and '.join(given)} cannot go with the name '{name}': "
            f"choose its namespace with -n, or leave out the name"
        )
