"""Programs for the person at the keyboard: the machine's own where they fit, else built."""

import shutil
import subprocess
from pathlib import Path

from tests.cluster import build
from tests.cluster.progress import Progress


def helm(progress: Progress) -> Path:
    """Return a Helm 4."""
    found = shutil.which("helm")
    if found and _output(found, "version", "--short").startswith("v4."):
        return Path(found)
    build.build_programs([build.HELM], progress)
    return build.HELM.path


def kind(progress: Progress) -> Path:
    """Return kind."""
    found = shutil.which("kind")
    if found:
        return Path(found)
    build.build_programs([build.KIND], progress)
    return build.KIND.path


def kubectl(progress: Progress) -> Path:
    """Return kubectl."""
    found = shutil.which("kubectl")
    if found:
        return Path(found)
    build.build_programs([build.NODE], progress)
    return kubectl_of_node()


def kubectl_of_node() -> Path:
    """Return the name under which the node's one program is kubectl."""
    link = build.NODE.path.with_name("kubectl")
    if not link.is_symlink():
        link.symlink_to(build.NODE.path.name)
    return link


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
