"""Where the files lie in the cluster: a pod that takes them by `kubectl exec` and serves them.

The pod is never replaced while it runs: with it would go the files of earlier versions.
"""

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import quote

from tests.kubectl import Kubectl, KubectlError, Manifest, restricted_namespace, until
from tests.models.server import DIRECTORY, PORT, READY_SECONDS, render_pod_spec
from tests.try_model.model_files import ModelFile

POD = "try-files"
GONE_SECONDS = 120.0
SAY_EVERY_SECONDS = 2.0
MIB = 2**20
RECEIVE = """
import hashlib, os, pathlib, sys
path, left = pathlib.Path(sys.argv[1]), int(sys.argv[2])
path.parent.mkdir(parents=True, exist_ok=True)
part = path.with_name(path.name + ".part")
hasher = hashlib.sha256()
with part.open("wb") as file:
    while left and (block := sys.stdin.buffer.read(min(left, 1 << 20))):
        file.write(block)
        hasher.update(block)
        left -= len(block)
os.replace(part, path)
print(hasher.hexdigest())
"""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The pod with the files of every version."""

    kubectl: Kubectl
    namespace: str
    image: str
    """Has Python."""

    def open(self) -> None:
        """Make namespace, pod and Service, if they are not there, and wait until files are taken.

        Raises:
            KubectlError: the cluster refused it, or the pod was not ready in time.

        """
        self._wait_for_removal()
        self.kubectl.apply(restricted_namespace(self.namespace), render_service(self.namespace))

        pod = self.kubectl.get(self.namespace, "pod", POD)
        if pod is not None and pod["status"].get("phase") in {"Failed", "Succeeded"}:
            self.kubectl.run("delete", "pod", POD, "-n", self.namespace)
            pod = None
        if pod is None:
            self.kubectl.apply(render_pod(self.namespace, self.image))
        self.kubectl.wait(self.namespace, f"pod/{POD}", "condition=Ready", READY_SECONDS)

    def put(self, model: ModelFile, name: str, version: str) -> str:
        """Bring a file there, and return the address at which it stays.

        Raises:
            KubectlError: it did not come, or not whole.

        """
        place = PurePosixPath(name, version, model.name)
        words = ("exec", "-i", POD, "-n", self.namespace, "--", "python", "-c", RECEIVE)
        command = self.kubectl.command(*words, f"{DIRECTORY}/{place}", str(model.size))
        arrived = send(command, model)
        if arrived != model.digest():
            raise KubectlError(f"{model.name} did not come whole to pod {POD}: try again")
        return f"http://{POD}.{self.namespace}.svc:{PORT}/{quote(str(place))}"

    def _wait_for_removal(self) -> None:
        """Wait for a namespace that somebody deleted a moment ago."""
        if not self._is_going():
            return
        print(f"waiting for namespace {self.namespace} of an earlier try to be gone", flush=True)
        until(lambda: not self._is_going(), f"namespace {self.namespace} to be gone", GONE_SECONDS)

    def _is_going(self) -> bool:
        words = ("get", "namespace", self.namespace, "--ignore-not-found", "-o")
        return self.kubectl.run(*words, "jsonpath={.status.phase}") == "Terminating"


def send(command: list[str], model: ModelFile) -> str:
    """Give a command the file's bytes, say how far it is if that takes long; return its answer.

    Raises:
        KubectlError: it failed; with what it said.

    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as receiver:
        assert receiver.stdin is not None
        with suppress(BrokenPipeError):  # its own words say why it reads no more
            feed(receiver.stdin, model)
        answer, complaint = receiver.communicate()

    if receiver.returncode != 0:
        said = complaint.decode().strip()
        raise KubectlError(f"sending {model.name} to pod {POD}: {said}")
    return answer.decode().strip()


def feed(into: IO[bytes], model: ModelFile) -> None:
    """Write the file's bytes, and say now and then how far it is."""
    begun = said = time.monotonic()
    sent = 0
    for block in model.blocks():
        into.write(block)
        sent += len(block)
        now = time.monotonic()
        if now - said > SAY_EVERY_SECONDS:
            said = now
            print(describe_progress(sent, model.size, now - begun), flush=True)


def describe_progress(sent: int, size: int, seconds: float) -> str:
    """Return how much of a file was sent."""
    rate = sent / MIB / seconds
    return f"  sent {sent / MIB:,.0f} of {size / MIB:,.0f} MiB at {rate:,.0f} MiB/s"


def describe_size(size: int) -> str:
    """Return a number of bytes as people say it."""
    return f"{size / MIB:,.1f} MiB" if size >= MIB else f"{size / 1024:,.1f} KiB"


def render_pod(namespace: str, image: str) -> Manifest:
    """Return the pod; its files live as long as it does, also over restarts of its container."""
    metadata = {"name": POD, "namespace": namespace, "labels": {"app": POD}}
    spec = render_pod_spec(image, {"emptyDir": {}}, is_writable=True)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def render_service(namespace: str) -> Manifest:
    """Return the Service under whose name the operator's Jobs find the pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": POD, "namespace": namespace, "labels": {"app": POD}},
        "spec": {
            "selector": {"app": POD},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }
