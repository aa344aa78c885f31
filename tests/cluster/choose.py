"""Which kind of cluster this machine gets."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum

from tests.cluster.errors import ClusterError

CONTEXT_VARIABLE = "SLIPWAY_CONTEXT"


class Kind(StrEnum):
    """Where the cluster comes from."""

    EXISTING = "existing"
    KIND = "kind"
    SINGLE_NODE = "single-node"


@dataclass(frozen=True, slots=True)
class Machine:
    """What the choice depends on."""

    context: str
    """Context that the user named; empty when none was."""
    has_docker: bool
    """Whether a Docker engine answers, not merely whether its command is there."""
    system: str
    """As `platform.system()` says it."""
    is_root: bool


def choose_kind(machine: Machine) -> Kind:
    """Return the kind of cluster for this machine.

    Raises:
        ClusterError: none is possible; says what is missing and how to get it.

    """
    if machine.context:
        return Kind.EXISTING
    if machine.has_docker:
        return Kind.KIND
    if machine.system == "Linux" and machine.is_root:
        return Kind.SINGLE_NODE
    if machine.system == "Linux":
        raise ClusterError(
            "a cluster needs a Docker engine that answers 'docker info', or root for one without"
            " Docker: start Docker, run this as root, or name a context of yours in"
            f" {CONTEXT_VARIABLE}"
        )
    raise ClusterError(
        f"a cluster on {machine.system} needs a Docker engine that answers 'docker info': start"
        f" Docker, or name a context of yours in {CONTEXT_VARIABLE}"
    )


def observe_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        context=os.environ.get(CONTEXT_VARIABLE, ""),
        has_docker=_docker_answers(),
        system=platform.system(),
        is_root=os.geteuid() == 0,
    )


def _docker_answers() -> bool:
    if not shutil.which("docker"):
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
