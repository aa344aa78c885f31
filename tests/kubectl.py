"""The real kubectl, as demo and tests use it: on this clone's cluster, and never for long."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster import clone
from tests.patience import patient

Manifest = dict[str, Any]

CLONE = Path(__file__).resolve().parents[1]
CLUSTER = CLONE / clone.DIRECTORY
CALL_SECONDS = 120.0
LOOK_SECONDS = 0.5

RESTRICTED: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""Security context of a container in a namespace that enforces `restricted`."""
POD_SECURITY: Manifest = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""The same for its pod."""


SHELL = "export KUBECONFIG=$PWD/.cluster/kubeconfig PATH=$PWD/.cluster/bin:$PWD/.venv/bin:$PATH"
"""What people type in this clone before kubectl and its plugin."""


class KubectlError(Exception):
    """kubectl failed, or did not find in time what was waited for."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with a kubeconfig."""

    program: Path = CLUSTER / "bin/kubectl"
    kubeconfig: Path = CLUSTER / "kubeconfig"

    def command(self, *words: str) -> list[str]:
        """Return the command line, for those that start it themselves."""
        return [str(self.program), f"--kubeconfig={self.kubeconfig}", *words]

    def run(self, *words: str, stdin: str | None = None, seconds: float = CALL_SECONDS) -> str:
        """Return what it prints.

        Raises:
            KubectlError: it failed or took longer than `seconds`; with what it said.

        """
        try:
            done = subprocess.run(
                self.command(*words),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(
                f"kubectl {' '.join(words)}: no answer in {seconds:.0f} s"
            ) from error

        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *manifests: Manifest) -> str:
        """Apply the manifests, all in one call."""
        return self.run("apply", "-f", "-", stdin=json.dumps(_as_list(manifests)))

    def apply_server_side(self, *manifests: Manifest) -> str:
        """Apply manifests that are too large for the annotation of a client-side apply."""
        words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        return self.run(*words, stdin=json.dumps(_as_list(manifests)))

    def get(self, namespace: str, kind: str, name: str) -> Manifest | None:
        """Return the object, or None where there is none."""
        printed = self.run("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return dict(json.loads(printed)) if printed.strip() else None

    def items(self, namespace: str, kind: str, selector: str = "") -> list[Manifest]:
        """Return all objects of a kind that the label selector matches."""
        words = ("get", kind, "-n", namespace, "-o", "json", "-l", selector)
        return list(json.loads(self.run(*words))["items"])

    def wait(self, namespace: str, what: str, condition: str, seconds: float) -> None:
        """Wait for a condition as `kubectl wait --for=…` writes it."""
        seconds = patient(seconds)
        words = ("wait", what, "-n", namespace, f"--for={condition}", f"--timeout={seconds:.0f}s")
        self.run(*words, seconds=seconds + 10)

    def delete_namespace(self, name: str, *, wait_seconds: float = 180.0) -> None:
        """Delete a namespace with all that is in it; 0 seconds: do not wait until it is gone."""
        wait_seconds = patient(wait_seconds)
        wait = f"--timeout={wait_seconds:.0f}s" if wait_seconds else "--wait=false"
        words = ("delete", "namespace", name, "--ignore-not-found", wait)
        self.run(*words, seconds=wait_seconds + CALL_SECONDS)

    @contextmanager
    def fresh_namespace(self, name: str) -> Iterator[None]:
        """Make a restricted namespace, and ask for its end afterwards.

        Its end takes a minute or two where it has a router, so who needs the name next waits.
        """
        self.delete_namespace(name)
        self.apply(restricted_namespace(name))
        try:
            yield
        finally:
            self.delete_namespace(name, wait_seconds=0)


def restricted_namespace(name: str) -> Manifest:
    """Return a namespace that refuses every pod that asks for more than it needs."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


Found = TypeVar("Found")


def until(look: Callable[[], Found], what: str, seconds: float) -> Found:
    """Look again and again until the answer is true, and return it.

    Raises:
        KubectlError: it was not in time; names what was waited for.

    """
    seconds = patient(seconds)
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise KubectlError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(LOOK_SECONDS)
    return found


def _as_list(manifests: Iterable[Manifest]) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
