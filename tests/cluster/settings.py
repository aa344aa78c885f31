"""Every setting of the test cluster that is a choice: versions, names, addresses and places."""

import os
from pathlib import Path

KUBERNETES = "1.36.3"
"""Also in node/go.mod, whose staging modules carry it as 0.36.3."""
COREDNS = "1.15.0"
HELM = "4.3.1"
KIND = "0.33.0"
METRICS_SERVER = "0.9.0"
OLDEST_GO = (1, 26)

NUMBER = int(os.environ.get("SLIPWAY_CLUSTER_NUMBER") or 0)
"""Of 0 to 99: single-node clusters of several numbers run beside each other on one machine."""
_SUFFIX = str(NUMBER or "")

NODE_MIB = int(os.environ.get("SLIPWAY_NODE_MIB") or 0)
"""All that the node and its pods may have of the machine's memory, without swap; 0: any. A node of
a size runs no metrics-server, and its registry counts as another machine's."""
NODE_HAS_CONTROL_PLANE = os.environ.get("SLIPWAY_CONTROL_PLANE") != "elsewhere"
"""Whether etcd, API server, controllers and scheduler are among that."""
NODE_GOGC = 40
"""Percent by which the heap of a daemon of such a node grows before garbage is collected; Go's own
default is 100. Less memory for more of the processor."""

NAME = "slipway"
"""Of the kubeconfig context and of the kind cluster."""
NODE = "slipway-node"
DOMAIN = "cluster.local"

HOST_LINK = f"slipway-host{_SUFFIX}"
NODE_LINK = f"slipway-node{_SUFFIX}"
HOST_ADDRESS = f"10.250.{NUMBER}.1"
NODE_ADDRESS = f"10.250.{NUMBER}.2"
LINK_PREFIX = 30
POD_RANGE = f"10.244.{NUMBER}.0/24"
SERVICE_RANGE = f"10.{96 + NUMBER}.0.0/16"
API_SERVICE = f"10.{96 + NUMBER}.0.1"
DNS_SERVICE = f"10.{96 + NUMBER}.0.10"

API_PORT = 6443
METRICS_PORT = 4443
ENFORCER_PORT = 9080
"""Where the enforcer of NetworkPolicies says that it is ready."""
ENFORCER_QUEUE = 100
"""Of the kernel: where the enforcer is asked about connections."""
REGISTRY = f"{NODE_ADDRESS}:5000"
"""What the host, containerd and pods alike call the registry; plain HTTP."""

STATE = Path(f"/var/lib/slipway-cluster{_SUFFIX}")
"""One cluster per machine and number, whichever clone started it."""
STATES = "slipway-cluster*"
"""What the state directories of all numbers are called."""
CGROUP = f"slipway-cluster{_SUFFIX}"
"""Parent of the cgroups of all pods, so that clearing up touches no other kubelet's."""
DAEMONS = "daemons"
"""Below it, a cgroup for each daemon of a node that has a size."""

BINDS = {
    "kubelet": Path("/var/lib/kubelet"),
    "containerd": Path("/var/lib/containerd"),
    "log": Path("/var/log"),
}
"""Directories of the state → where the node sees them."""
MEMORY = (Path("/run"), Path("/var/lib/cni"))
"""Where the node has an empty tmpfs of its own, lost with its power."""
MOUNT_POINTS = (*BINDS.values(), *MEMORY)

CLONE = Path(__file__).resolve().parents[2]
NODE_SOURCES = Path(__file__).resolve().parent / "node"


def registry_storage() -> Path:
    """Return where the images that were pushed to this cluster's registry lie."""
    return cache_directory() / f"registry{_SUFFIX}"


def cache_directory() -> Path:
    """Return where binaries and pushed images outlive a cluster."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "slipway"
