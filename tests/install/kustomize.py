"""kustomize, as the cluster's kubectl brings it."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import clone
from tests.install.helm import ROOT

KUBECTL = ROOT / clone.DIRECTORY / "bin/kubectl"


def build(directory: Path) -> list[dict[str, Any]]:
    """Return the manifests of a directory with a kustomization."""
    program = str(KUBECTL if KUBECTL.exists() else "kubectl")
    done = subprocess.run(
        [program, "kustomize", str(directory)], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))
