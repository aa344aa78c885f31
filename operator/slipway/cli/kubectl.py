"""kubectl as a child process: what it prints, and its complaints turned into sentences.

This program talks to nothing else; `slipway.cli.watching` runs the calls that go on.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from slipway.api.names import GROUP
from slipway.cli.complaints import complaint
from slipway.cli.problems import Passing, Problem

RESOURCE = f"modeldeployments.{GROUP}"
"""In full: a cluster may know another type of that name."""
PROGRAM_VARIABLE = "SLIPWAY_KUBECTL"
CALL_SECONDS = 60.0
FIELD_MANAGER = "kubectl-slipway"

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the user's own flags."""

    flags: tuple[str, ...] = ()
    """As given: ``--context=prod``; passed on with every call."""
    program: str = "kubectl"

    def run(self, *words: str, namespace: str = "", stdin: str | None = None) -> str:
        """Return what it prints.

        Raises:
            Problem: it is missing, failed, or took longer than a minute.

        """
        try:
            done = subprocess.run(  # noqa: S603 -- kubectl, and no shell
                self.command(*words, namespace=namespace),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=CALL_SECONDS,
                check=False,
            )
        except OSError as error:
            raise missing(self.program, error) from error
        except subprocess.TimeoutExpired as error:
            raise Problem(
                f"kubectl {words[0]} gave no answer in {CALL_SECONDS:.0f} s",
                hint="kubectl cluster-info",
                passes=Passing.YES,
            ) from error
        if done.returncode != 0:
            raise complaint(done.stderr)
        return done.stdout

    def json(self, *words: str, namespace: str = "") -> Manifest:
        """Return the object that it prints.

        Raises:
            Problem: as `run`; or what it printed is no JSON object.

        """
        printed = self.run(*words, "-o", "json", namespace=namespace)
        return parsed(printed, f"kubectl {' '.join(words)}")

    def names(self, namespace: str = "") -> list[str]:
        """Return the names of all ModelDeployments of the namespace."""
        printed = self.run("get", RESOURCE, "-o", "name", namespace=namespace)
        return [entry.rpartition("/")[2] for entry in printed.split()]

    def namespace(self) -> str:
        """Return the namespace that the flags or the kubeconfig choose."""
        chosen = [flag.partition("=")[2] for flag in self.flags if flag.startswith("--namespace=")]
        if chosen:
            return chosen[-1]
        words = ("config", "view", "--minify", "-o", "jsonpath={..namespace}")
        try:
            return self.run(*words).strip() or "default"
        except Problem:
            return "default"

    def command(self, *words: str, namespace: str = "") -> list[str]:
        """Return the command line; `namespace` stands for the one that the flags choose."""
        flags = self.flags
        if namespace:
            flags = (*(f for f in flags if not f.startswith("--namespace=")), f"-n={namespace}")
        return [self.program, *flags, *words]


def program() -> str:
    """Return the name or path of kubectl."""
    return os.environ.get(PROGRAM_VARIABLE) or "kubectl"


def parsed(printed: str, what: str) -> Manifest:
    """Return a JSON object from text.

    Raises:
        Problem: it is none; `what` printed it.

    """
    try:
        read = json.loads(printed)
    except ValueError as error:
        raise Problem(f"{what} printed no JSON: {printed[:80]!r}") from error
    if not isinstance(read, dict):
        raise Problem(f"{what} printed {type(read).__name__}, expected an object")
    return read


def missing(name: str, error: OSError) -> Problem:
    """Return that there is no kubectl of that name."""
    return Problem(
        f"cannot run kubectl ({name}): {error.strerror or error}; this program talks through it",
        hint=f"install kubectl, or name it: export {PROGRAM_VARIABLE}=/path/to/kubectl",
    )
