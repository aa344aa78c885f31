"""Argo Rollouts: its controller, built once with Go, and the CRDs that its module brings."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.cluster import build, modules
from tests.cluster.progress import Progress
from tests.kubectl import Manifest

VERSION = "1.10.2"
"""Of August 2026."""
MODULE = "github.com/argoproj/argo-rollouts"
CONTROLLER = build.Program(
    "argo-rollouts", VERSION, f"{MODULE}/cmd/rollouts-controller", module=MODULE
)
CRDS = "manifests/crds"
STARTED = "Started controller"
"""What its log says once it leads and its caches are full."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.1


def build_controller() -> Path:
    """Return the controller's binary, built where the user's cache lacks it, which takes minutes.

    Raises:
        ClusterError: there is no fitting Go, or the build failed.

    """
    build.build_programs((CONTROLLER,), Progress())
    return CONTROLLER.path


def read_crds() -> Iterator[Manifest]:
    """Yield the CRDs; each has more than half a megabyte, too much for a client-side apply.

    Raises:
        ClusterError: there is no Go, which knows where the module lies.

    """
    for path, text in modules.read_module(MODULE, VERSION, CRDS):
        if not path.endswith("kustomization.yaml"):
            yield yaml.safe_load(text)


@contextmanager
def run_controller(
    kubeconfig: Path, log: Path, *, namespace: str = "default", flags: Sequence[str] = ()
) -> Iterator[int]:
    """Run the controller with its defaults while the body runs, and yield its process's id.

    The CRDs are there already, and so is `namespace`, where its Lease lies. It does not give the
    Lease back: one that follows within 15 s in the same namespace waits for that long.

    Raises:
        RuntimeError: it ended, or did not start; with the end of its log.

    """
    ports = ("--metricsPort=0", "--healthzPort=0")  # any that are free
    command = (str(build_controller()), f"--kubeconfig={kubeconfig}", *ports, *flags)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | {"POD_NAMESPACE": namespace},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_started(process, log)
        yield process.pid
    finally:
        _stop(process)


def _wait_until_started(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while STARTED not in (text := log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Argo Rollouts does not run; its log ends: {text[-2000:]}")
        time.sleep(LOOK_SECONDS)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
