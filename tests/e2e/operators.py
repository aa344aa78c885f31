"""The operator's replicas, as the tests kill, stop and replace them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.api.kinds import LEASE

from tests.cluster.process import PROC, ProcessIdentity, identify, is_alive, kill_process
from tests.e2e import prometheus
from tests.install.helm import NAMESPACE as SYSTEM
from tests.kubectl import Kubectl, Manifest, until

SELECTOR = "app.kubernetes.io/name=slipway"
REPLICAS = 2
READY_SECONDS = 90.0
LEASE_TIMES = {"lease": {"durationSeconds": 6, "renewSeconds": 1, "writeWindowSeconds": 2.5}}
"""Values of the chart: after a kill, another replica leads seconds later."""
PREVIEWER = "load-blue-green"
"""Label `app` of the pods that may walk around the router."""
WALLS = {
    "modelNetworkPolicies": {
        "servers": "All",
        "serversFrom": [{"podSelector": {"matchLabels": {"app": PREVIEWER}}}],
        "metricsFrom": [prometheus.PEER],
    }
}
"""Around every server, so that each test says that nothing needed is cut off."""
VALUES = {**LEASE_TIMES, **WALLS, **prometheus.provider(prometheus.NAMESPACE)}
"""All values of the chart that the tests need beside those of the test cluster."""


@dataclass(frozen=True, slots=True)
class Operators:
    """Both replicas."""

    kubectl: Kubectl

    def pods(self) -> list[Manifest]:
        """Return the pods that nobody is deleting."""
        pods = self.kubectl.items(SYSTEM, "pods", SELECTOR)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, replicas: int = REPLICAS) -> None:
        """Wait until so many pods are ready, and no other is left."""
        until(lambda: self._is_complete(replicas), f"{replicas} operator pods", READY_SECONDS)

    def wait_for_leader(self) -> None:
        """Wait until one of the pods that are here now holds the Lease."""

        def leads() -> bool:
            return self.leader() in {pod["metadata"]["name"] for pod in self.pods()}

        until(leads, "a leader", READY_SECONDS)

    def leader(self) -> str:
        """Return the pod that the Lease names, which may be gone; empty without one."""
        lease = self.kubectl.get(SYSTEM, f"{LEASE.plural}.{LEASE.group}", "slipway-operator")
        holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
        return str(holder).split("_")[0]

    def processes(self, pods: Collection[str] = ()) -> list[ProcessIdentity]:
        """Return the operator's processes of these pods, or of all; the node is this machine."""
        chosen = [pod for pod in self.pods() if not pods or pod["metadata"]["name"] in pods]
        uids = [pod["metadata"]["uid"] for pod in chosen]
        return [process for uid in uids for process in processes_of(uid, b"manager")]

    def kill(self, processes: list[ProcessIdentity]) -> None:
        """Kill them all without a warning."""
        killed = [kill_process(process) for process in processes]
        assert killed == [True] * len(killed), "a process ended before it was killed"

    def replace(self, pods: Collection[str] = ()) -> None:
        """Put fresh pods in the place of these killed ones, whose restarts the kubelet delays.

        None named: of all.
        """
        names = pods or [pod["metadata"]["name"] for pod in self.pods()]
        words = ("delete", "pod", *names, "-n", SYSTEM, "--grace-period=0", "--force")
        self.kubectl.run(*words, "--wait=false")
        self.wait_ready()

    def scale(self, replicas: int) -> None:
        """Change the number of replicas, and wait for it."""
        words = ("scale", "deployment", "slipway", "-n", SYSTEM, f"--replicas={replicas}")
        self.kubectl.run(*words)
        self.wait_ready(replicas)

    def _is_complete(self, replicas: int) -> bool:
        pods = self.kubectl.items(SYSTEM, "pods", SELECTOR)
        return len(pods) == replicas and all(is_ready(pod) for pod in pods)


def is_ready(pod: Manifest) -> bool:
    """Tell whether a pod is Ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def processes_of(pod_uid: str, word: bytes) -> list[ProcessIdentity]:
    """Return the living processes of a pod with this word in their command line."""
    found = (identify(pid) for pid in _pids_of(pod_uid, word))
    return [process for process in found if process is not None and is_alive(process)]


def _pids_of(pod_uid: str, word: bytes) -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and pod_uid in _text(entry / "cgroup"):
            arguments = _text(entry / "cmdline").encode().split(b"\0")
            if word in arguments:
                yield int(entry.name)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
