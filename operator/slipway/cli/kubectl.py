"""kubectl as a child process: its output as JSON, its failures as errors of this program.

This program talks to nothing else; `slipway.cli.kubectl_watch` runs the calls that do not end.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

from slipway.api.names import GROUP
from slipway.cli.cli_error import CliError, Transient
from slipway.cli.kubectl_errors import explain_failure

RESOURCE = f"modeldeployments.{GROUP}"
"""In full: a cluster may have another type of that name."""
PROGRAM_VARIABLE = "SLIPWAY_KUBECTL"
CALL_SECONDS = 60.0
FIELD_MANAGER = "slipway-cli"
"""Flux takes away what managers whose names begin with `kubectl` have written beside Git."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the user's own flags."""

    flags: tuple[str, ...] = ()
    """As given: ``--context=prod``; passed on with every call."""
    program: str = "kubectl"

    def run(self, *words: str, namespace: str = "", stdin: str | None = None) -> str:
        """Return what kubectl prints.

        Raises:
            CliError: kubectl is missing, failed, or took longer than a minute.

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
            raise missing_kubectl(self.program, error) from error
        except subprocess.TimeoutExpired as error:
            raise CliError(
                f"kubectl {words[0]} timed out after {CALL_SECONDS:.0f}s",
                hint="kubectl cluster-info",
                transient=Transient.YES,
            ) from error

        if done.returncode != 0:
            raise explain_failure(done.stderr)
        return done.stdout

    def json(self, *words: str, namespace: str = "") -> Manifest:
        """Return the object that kubectl prints.

        Raises:
            CliError: as `run`; or what it printed is no JSON object.

        """
        printed = self.run(*words, "-o", "json", namespace=namespace)
        return parse_json_object(printed, f"kubectl {' '.join(words)}")

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
        except CliError:
            return "default"

    def command(self, *words: str, namespace: str = "") -> list[str]:
        """Return the command line; `namespace` replaces the one that the flags choose."""
        flags = self.flags
        if namespace:
            flags = (*(f for f in flags if not f.startswith("--namespace=")), f"-n={namespace}")
        return [self.program, *flags, *words]


def find_kubectl() -> str:
    """Return the name or path of kubectl."""
    return os.environ.get(PROGRAM_VARIABLE) or "kubectl"


def parse_json_object(text: str, command: str) -> Manifest:
    """Return the JSON object that a command printed.

    Raises:
        CliError: the text is no JSON object.

    """
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise CliError(f"{command} printed invalid JSON: {text[:80]!r}") from error
    if not isinstance(parsed, dict):
        raise CliError(f"{command} printed {type(parsed).__name__}, expected an object")
    return parsed


def missing_kubectl(program: str, error: OSError) -> CliError:
    """Return that kubectl could not be started."""
    return CliError(
        f"cannot run kubectl ({program}): {error.strerror or error}; this program needs it",
        hint=f"install kubectl, or set its path: export {PROGRAM_VARIABLE}=/path/to/kubectl",
    )
