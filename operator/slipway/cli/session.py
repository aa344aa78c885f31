"""What every command works with: kubectl with the user's flags, and where to print."""

import difflib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.kubectl import RESOURCE, Kubectl, Manifest, find_kubectl
from slipway.cli.kubectl_errors import NotFound
from slipway.cli.objects import ModelDeployment, parse_model_deployment
from slipway.cli.text import WIDE, Line, paint_screen
from slipway.cli.wire import dump_text

NARROWEST = 40
NOT_REPEATED = ("--namespace=", "--token=", "--password=", "--request-timeout=")


@dataclass(slots=True)
class Flags:
    """The flags that every command takes; filled while the command line is read."""

    kubectl: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Values by kubectl's own flag."""
    json: bool = False
    colour: str = "auto"

    def for_kubectl(self) -> tuple[str, ...]:
        """Return the flags for kubectl."""
        return tuple(f"{name}={value}" for name, values in self.kubectl.items() for value in values)


@dataclass(frozen=True, slots=True)
class Session:
    """One run of this program."""

    kubectl: Kubectl
    json: bool = False
    colours: bool = False
    width: int = WIDE
    """Columns of the terminal; without one nothing is cut or wrapped."""
    can_redraw: bool = False
    """Whether the terminal can be drawn over; a dumb one and a file cannot."""

    def show(self, screen: Sequence[Line]) -> None:
        """Print a screen."""
        sys.stdout.write(paint_screen(screen, colours=self.colours))
        sys.stdout.flush()

    def show_json(self, value: object, *, indent: int | None = 2) -> None:
        """Print the stable JSON form."""
        sys.stdout.write(dump_text(value, indent=indent) + "\n")
        sys.stdout.flush()

    def find(self, name: str) -> ModelDeployment:
        """Return a ModelDeployment.

        Raises:
            CliError: nothing has that name, with the nearest one that exists; or kubectl failed.

        """
        return parse_model_deployment(self.manifest(name))

    def find_again(self, md: ModelDeployment) -> ModelDeployment:
        """Return the object as it is now.

        Raises:
            CliError: as `find`.

        """
        return parse_model_deployment(
            self.kubectl.json("get", RESOURCE, md.name, namespace=md.namespace)
        )

    def manifest(self, name: str) -> Manifest:
        """Return a ModelDeployment as kubectl prints it.

        Raises:
            CliError: as `find`.

        """
        try:
            return self.kubectl.json("get", RESOURCE, name)
        except NotFound as error:
            raise self.explain_not_found(name, error) from error

    def explain_not_found(self, name: str, error: NotFound) -> CliError:
        """Return that nothing has that name, and which name may have been meant."""
        namespace = self.kubectl.namespace()
        if "namespaces " in error.message:
            return CliError(
                f"namespace '{namespace}' not found",
                ExitCode.NOT_FOUND,
                hint="kubectl get namespaces",
            )

        try:
            names = self.kubectl.names()
        except CliError:
            names = []
        near = difflib.get_close_matches(name, names, n=1)
        message = f"ModelDeployment '{name}' not found in namespace {namespace}"
        if near:
            message += f"; did you mean '{near[0]}'?"
        elif not names:
            message += ", which has none"
        where = ("-n", namespace) if names else ("-A",)
        return CliError(message, ExitCode.NOT_FOUND, hint=self.command_line("get", *where))

    def deleted_error(self, md: ModelDeployment) -> CliError:
        """Return that the object was deleted meanwhile."""
        hint = self.command_line("get", "-n", md.namespace)
        return CliError(f"{md.name} was deleted", ExitCode.NOT_FOUND, hint=hint)

    def command_about(self, md: ModelDeployment, *words: str) -> str:
        """Return a command line about `md` that can be pasted."""
        return self.command_line(*words, md.name, "-n", md.namespace)

    def command_line(self, *words: str) -> str:
        """Return a command line with the flags that were given, but no secret; for a shell."""
        given = [flag for flag in self.kubectl.flags if not flag.startswith(NOT_REPEATED)]
        return shlex.join(["kubectl", "slipway", *words, *given])


def open_session(flags: Flags) -> Session:
    """Return the session that the flags ask for."""
    is_terminal = sys.stdout.isatty()
    return Session(
        kubectl=Kubectl(flags=flags.for_kubectl(), program=find_kubectl()),
        json=flags.json,
        can_redraw=is_terminal and os.environ.get("TERM") not in {None, "", "dumb"},
        colours=has_colours(flags.colour, terminal=is_terminal),
        width=max(NARROWEST, shutil.get_terminal_size().columns) if is_terminal else WIDE,
    )


def has_colours(choice: str, *, terminal: bool) -> bool:
    """Return whether to print in colour: on a terminal, unless NO_COLOR or TERM forbid it."""
    if choice != "auto":
        return choice == "always"
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
