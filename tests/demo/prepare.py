"""Makes what the rollouts need by the project's own commands: cluster, images, release, models."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.demo.report import Seconds
from tests.demo.versions import NAMESPACE
from tests.install import helm, release
from tests.install.helm import InstallError
from tests.kubectl import CLONE, Kubectl, KubectlError, restricted_namespace
from tests.models.samples import Samples, build_samples
from tests.models.server import serve_files


class PreparationError(Exception):
    """A step failed; its own words are on the screen already."""


def make_cluster(seconds: Seconds) -> None:
    """Start the cluster, build and push the images, install the release.

    Raises:
        PreparationError: one of the first two failed.
        InstallError: the release did not get ready.

    """
    with timed(seconds, "cluster"):
        run_module("tests.cluster", "up")
    with timed(seconds, "images"):
        run_module("tests.images", "build", "--push")
    with timed(seconds, "install"):
        release.up()


def is_ready(kubectl: Kubectl) -> bool:
    """Return whether the cluster has the release that was installed from this clone, and it runs.

    Whether that is what the sources would make now is not asked.
    """
    try:
        image = release.images().operator
        found = kubectl.get(helm.NAMESPACE, "deployment", helm.RELEASE)
    except (InstallError, KubectlError, OSError):
        return False  # OSError: there is no kubectl before the first cluster

    if found is None or not found["status"].get("availableReplicas"):
        return False
    containers = found["spec"]["template"]["spec"]["containers"]
    return any(container["image"] == image for container in containers)


def make_models(kubectl: Kubectl, seconds: Seconds) -> Samples:
    """Train the models and serve their files in a fresh namespace that allows little.

    Raises:
        KubectlError: the cluster refused it, or the file server was not ready in time.

    """
    with timed(seconds, "models"):
        samples = build_samples()
        # What the demo before left running goes now, and not at its end: people look at it.
        kubectl.delete_namespace(NAMESPACE)
        kubectl.apply(restricted_namespace(NAMESPACE))
        serve_files(kubectl, NAMESPACE, release.images().operator, samples.files)
    return samples


def run_module(*words: str) -> None:
    """Run one of our own command lines; what it says goes to the screen.

    Raises:
        PreparationError: it failed.

    """
    done = subprocess.run([sys.executable, "-m", *words], cwd=CLONE, check=False)
    if done.returncode != 0:
        raise PreparationError(f"'python -m {' '.join(words)}' failed with {done.returncode}")


@contextmanager
def timed(seconds: Seconds, part: str) -> Iterator[None]:
    """Note how long a part takes, and say which one it is."""
    print(f"{part} …", flush=True)
    begin = time.monotonic()
    yield
    taken = round(time.monotonic() - begin, 1)
    setattr(seconds, part, taken)
    print(f"{part}: {taken:.0f} s", flush=True)
