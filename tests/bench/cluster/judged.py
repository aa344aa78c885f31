"""From the apply of a version of 100 MB until its golden set has judged it, part by part."""

import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from onnx import numpy_helper
from slipway.api.modeldeployment import ModelDeploymentStatus, Stage

from tests.bench.cluster.scene import NAMESPACE, Scene
from tests.bench.table import Figure
from tests.cluster.progress import say
from tests.e2e.deployed import Deployed
from tests.e2e.objects import Model
from tests.kubectl import POD_SECURITY, RESTRICTED, Kubectl, Manifest
from tests.models import server
from tests.models.samples import GOLDEN

NAME = "judged"
SERVER = "large-models"
FILE = "large.onnx"
DIRECTORY = "/srv/large"
BALLAST_BYTES = 100_000_000
UPLOAD_SECONDS = 120.0
JUDGED_SECONDS = 180.0
TARGET_SECONDS = 6.0
PARTS = ("packaged", "pod ready", "golden set judged")
"""What a version waits for, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeModel(Model):
    """A version of the large file, with a golden set."""

    def _model(self) -> Manifest:
        return {
            "version": self.version,
            "source": {"uri": f"http://{SERVER}.{NAMESPACE}.svc:{server.PORT}/{FILE}"},
            "goldenSet": {"uri": server.uri(NAMESPACE, GOLDEN), "minAgreement": self.min_agreement},
            "warmup": {"requests": self.warm_up},
        }


def measure_judged(scene: Scene, times: int) -> list[Figure]:
    """Ask for one version after the other, each of the same bytes, beside the first."""
    found: list[tuple[float, ...]] = []
    with large_file(scene), scene.serving(a_version("1")) as deployed:
        for number in range(times):
            found.append(measure_one(deployed, a_version(f"2.{number}")))
            shown = ", ".join(f"{part} {s:.1f} s" for part, s in zip(PARTS, found[-1], strict=True))
            say(f"version {number + 1} of {times}: {sum(found[-1]):.1f} s ({shown})")
    whole = sorted(map(sum, found))
    return [
        Figure("100 MB applied -> judged, median", statistics.median(whole), "s", TARGET_SECONDS),
        *(
            Figure(f"  {part}, median", statistics.median(seconds), "s")
            for part, seconds in zip(PARTS, zip(*found, strict=True), strict=True)
        ),
        Figure(f"  the slowest of {times}", whole[-1], "s"),
    ]


def a_version(version: str) -> Model:
    """Return a version of the large file."""
    return LargeModel(name=NAME, namespace=NAMESPACE, version=version, mode="Fetch")


def measure_one(deployed: Deployed, model: Model) -> tuple[float, ...]:
    """Return the seconds of each part, and wait until the version has ended."""
    moments = [time.monotonic()]
    deployed.apply(model)
    for reached in (has_pods, is_checked, is_judged):
        deployed.wait_for(reached, reached.__name__, JUDGED_SECONDS)
        moments.append(time.monotonic())
    deployed.act("abort")  # nobody asks the model, so it would never be promoted
    deployed.wait_for_end(model.version, JUDGED_SECONDS)
    return tuple(after - before for before, after in pairwise(moments))


def has_pods(status: ModelDeploymentStatus) -> bool:
    """Return whether the candidate is a revision."""
    return status.candidate is not None


def is_checked(status: ModelDeploymentStatus) -> bool:
    """Return whether the candidate is ready, and its golden set is asked."""
    is_checking = status.rollout is not None and status.rollout.stage is Stage.CHECKING
    return is_checking or is_judged(status)


def is_judged(status: ModelDeploymentStatus) -> bool:
    """Return whether the golden set has judged it."""
    stages = {Stage.STARTING, Stage.CHECKING, Stage.PACKAGING}
    return (
        status.rollout is not None and bool(status.candidate) and status.rollout.stage not in stages
    )


@contextmanager
def large_file(scene: Scene) -> Iterator[None]:
    """Serve a model of 100 MB while the body runs: the sample, with numbers that it never uses."""
    scene.kubectl.apply(*render_server(scene.image))
    words = ("wait", "--for=condition=Ready", f"pod/{SERVER}", "-n", NAMESPACE, "--timeout=60s")
    scene.kubectl.run(*words, seconds=70)
    upload(scene.kubectl, with_ballast(scene.samples.files["digits-2.onnx"]))
    yield


def with_ballast(model: bytes) -> bytes:
    """Return an ONNX model with 100 MB of weights beside its own."""
    parsed = onnx.load_from_string(model)
    ballast = np.random.default_rng(1).random(BALLAST_BYTES // 4, dtype=np.float32)
    parsed.graph.initializer.append(numpy_helper.from_array(ballast, "ballast"))
    return bytes(parsed.SerializeToString())


def upload(kubectl: Kubectl, content: bytes) -> None:
    """Write the file into the pod that serves it."""
    script = f"cat > {DIRECTORY}/{FILE}"
    command = kubectl.command("exec", "-i", SERVER, "-n", NAMESPACE, "--", "sh", "-c", script)
    subprocess.run(command, input=content, check=True, timeout=UPLOAD_SECONDS)


def render_server(image: str) -> list[Manifest]:
    """Return a pod that serves a directory, and its Service."""
    metadata = {"name": SERVER, "namespace": NAMESPACE, "labels": {"app": SERVER}}
    command = ["python", "-m", "http.server", str(server.PORT), "--directory", DIRECTORY]
    container = {
        "name": "server",
        "image": image,
        "command": command,
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "files", "mountPath": DIRECTORY}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "files", "emptyDir": {}}],
    }
    ports = [{"name": "http", "port": server.PORT, "targetPort": server.PORT}]
    service = {"selector": {"app": SERVER}, "ports": ports}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]
