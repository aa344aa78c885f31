"""What every command works with: kubectl with the user's flags, and where to print."""

import difflib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from slipway.cli.complaints import NotFound
from slipway.cli.kubectl import RESOURCE, Kubectl, program
from slipway.cli.objects import ModelDeployment
from slipway.cli.problems import Exit, Problem
from slipway.cli.read import Manifest, read
from slipway.cli.text import WIDE, Line, paint
from slipway.cli.wire import dump

NARROWEST = 40
NOT_REPEATED = ("--namespace=", "--token=", "--password=", "--request-timeout=")


@dataclass(slots=True)
class Wishes:
    """What the flags say; filled while the command line is read."""

    kubectl: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Values by kubectl's own flag."""
    json: bool = False
    colour: str = "auto"

    def flags(self) -> tuple[str, ...]:
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
    draws: bool = False
    """Whether the terminal can be drawn over; a dumb one and a file cannot."""

    def show(self, screen: Sequence[Line]) -> None:
        """Print a screen."""
        sys.stdout.write(paint(screen, colours=self.colours))
        sys.stdout.flush()

    def show_json(self, value: object, *, indent: int | None = 2) -> None:
        """Print the stable JSON form."""
        sys.stdout.write(dump(value, indent=indent) + "\n")
        sys.stdout.flush()

    def find(self, name: str) -> ModelDeployment:
        """Return a ModelDeployment.

        Raises:
            Problem: there is none of that name, with the nearest one; or kubectl failed.

        """
        return read(self.manifest(name))

    def manifest(self, name: str) -> Manifest:
        """Return a ModelDeployment as kubectl prints it.

        Raises:
            Problem: as `find`.

        """
        try:
            return self.kubectl.json("get", RESOURCE, name)
        except NotFound as error:
            raise self.unknown(name, error) from error

    def unknown(self, name: str, error: NotFound) -> Problem:
        """Return that nothing has that name, and what was meant perhaps."""
        namespace = self.kubectl.namespace()
        if "namespaces " in error.message:
            return Problem(
                f"there is no namespace '{namespace}'",
                Exit.NOT_FOUND,
                hint="kubectl get namespaces",
            )
        try:
            names = self.kubectl.names()
        except Problem:
            names = []
        near = difflib.get_close_matches(name, names, n=1)
        message = f"no ModelDeployment '{name}' in namespace {namespace}"
        if near:
            message += f"; did you mean '{near[0]}'?"
        elif not names:
            message += "; there is none at all"
        where = ("-n", namespace) if names else ("-A",)
        return Problem(message, Exit.NOT_FOUND, hint=self.command("get", *where))

    def say(self, *words: str, md: ModelDeployment) -> str:
        """Return a command line about `md` that can be pasted."""
        return self.command(*words, md.name, "-n", md.namespace)

    def command(self, *words: str) -> str:
        """Return a command line with the flags that were given, but no secret; for a shell."""
        given = [flag for flag in self.kubectl.flags if not flag.startswith(NOT_REPEATED)]
        return shlex.join(["kubectl", "slipway", *words, *given])


def session(wishes: Wishes) -> Session:
    """Return the session that the flags ask for."""
    terminal = sys.stdout.isatty()
    return Session(
        kubectl=Kubectl(flags=wishes.flags(), program=program()),
        json=wishes.json,
        draws=terminal and os.environ.get("TERM") not in {None, "", "dumb"},
        colours=has_colours(wishes.colour, terminal=terminal),
        width=max(NARROWEST, shutil.get_terminal_size().columns) if terminal else WIDE,
    )


def has_colours(wish: str, *, terminal: bool) -> bool:
    """Return whether to print in colour: on a terminal, unless NO_COLOR or TERM says no."""
    if wish != "auto":
        return wish == "always"
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
