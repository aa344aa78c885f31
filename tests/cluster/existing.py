"""A cluster of the user's own: only its kubeconfig is taken, nothing in it is made or removed."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster import tools
from tests.cluster.choose import CONTEXT_VARIABLE, Kind
from tests.cluster.clone import Access
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress

REGISTRY_VARIABLE = "SLIPWAY_REGISTRY"
"""Host and port of a registry that the cluster's nodes, its pods and this machine reach."""


def use_existing(progress: Progress) -> Access:
    """Return the way into the context that the user named.

    Raises:
        ClusterError: there is no kubectl, or the context is unknown or does not answer.

    """
    context = os.environ[CONTEXT_VARIABLE]
    kubectl = shutil.which("kubectl")
    if not kubectl:
        raise ClusterError(f"{CONTEXT_VARIABLE} names {context!r}, but there is no kubectl on PATH")
    chosen = (kubectl, f"--context={context}")
    kubeconfig = _output(*chosen, "config", "view", "--minify", "--flatten")
    _output(*chosen, "get", "--raw", "/readyz", "--request-timeout=10s")
    return Access(
        kind=Kind.EXISTING,
        kubeconfig=kubeconfig,
        kubectl=Path(kubectl),
        helm=tools.helm(progress),
        registry=os.environ.get(REGISTRY_VARIABLE),
        details={"context": context, "auditLog": None},
    )


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")
    return done.stdout
