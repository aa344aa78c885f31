"""The programs of the implementations, and how a pod gets them."""

import pytest

from tests.cluster import build, clone, settings
from tests.cluster.progress import Progress
from tests.kubectl import Manifest

GATEWAY_API = "1.6.3"
CONTOUR = build.Program("contour", "1.33.8", "github.com/projectcontour/contour/cmd/contour")
ENVOY_GATEWAY = build.Program(
    "envoy-gateway", "1.9.1", "github.com/envoyproxy/gateway/cmd/envoy-gateway"
)
MOUNTED = "/programs"
"""Where a pod has the program."""


def require_single_node() -> None:
    """Skip where the node does not see this machine's files."""
    description = clone.description(settings.CLONE) or {}
    if description.get("kind") != "single-node":
        pytest.skip("programs are mounted from this machine: this needs the single-node cluster")


def build_program(program: build.Program) -> None:
    """Build it unless the user's cache has it; the first time takes minutes."""
    build.build_programs((program,), Progress())


def volume(program: build.Program) -> Manifest:
    """Return the volume that brings a program into a pod."""
    return {"name": "programs", "hostPath": {"path": str(program.path.parent), "type": "Directory"}}


MOUNT: Manifest = {"name": "programs", "mountPath": MOUNTED, "readOnly": True}
