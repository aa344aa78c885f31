"""Where things lie: the state of the one cluster of this machine, and the binaries it runs."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster import settings

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """Places under the state directory, and the programs of the cache that use them."""

    state: Path
    node_binary: Path
    pause_binary: Path
    coredns: Path
    metrics_server: Path
    registry_storage: Path
    """Outlives the cluster, so that images need no second push."""

    def pki(self, name: str) -> str:
        """Return the path of a key or certificate."""
        return str(self.state / "pki" / name)

    def config(self, name: str) -> str:
        """Return the path of a configuration file."""
        return str(self.state / "config" / name)

    def kubeconfig(self, identity: str) -> str:
        """Return the path of the kubeconfig of one of the identities of pki.py."""
        return self.config(f"{identity}.kubeconfig")

    @property
    def logs(self) -> Path:
        """The node's /var/log."""
        return self.state / "log"

    @property
    def audit_log(self) -> Path:
        """One line of JSON per write that the API server accepted or refused."""
        return self.logs / "audit.log"

    @property
    def status(self) -> Path:
        """How far the start has come; written by the node's first process."""
        return self.state / "status.json"

    @property
    def plan(self) -> Path:
        """What the node runs."""
        return self.state / PLAN

    @property
    def owner(self) -> Path:
        """Who started the cluster, from which inputs, as which process."""
        return self.state / "owner.json"

    @property
    def programs(self) -> Path:
        """Where a node of a size has copies of its programs."""
        return self.state / "bin"

    @property
    def pause_archive(self) -> Path:
        """The image that holds a pod's namespaces."""
        return self.state / "pause.tar"


CGROUPS = Path("/sys/fs/cgroup")
API = f"https://{settings.NODE_ADDRESS}:{settings.API_PORT}"
