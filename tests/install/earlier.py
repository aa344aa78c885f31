"""A release of an earlier revision of this repository, built and described by its own tree."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.install.helm import ROOT, InstallError
from tests.kubectl import CLUSTER, Manifest

REVISION = "SLIPWAY_PREVIOUS"
"""Variable: the revision, as git understands it; empty: the newest tag before this commit."""
IMAGES_SECONDS = 3600.0
ITS_CLUSTER = ".cluster"
ITS_CRD = "crds/slipway.dev_modeldeployments.yaml"
BUILD = """
from tests.images import build
needed = ("operator", "envoy", "triton")
build.IMAGES = tuple(image for image in build.IMAGES if image.name in needed)
build.publish_all(build.workshop())
"""
"""The others serve tests, or models that are not among these."""
PRINT_VALUES = """
import json
from tests.install import release
print(json.dumps(release.cluster_values(release.images(), release.registry())))
"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The tree of an earlier revision, which builds in it as somebody did who had it then."""

    commit: str
    date: str
    """Of the commit, as YYYY-MM-DD."""
    root: Path

    @property
    def chart(self) -> Path:
        """Its chart."""
        return self.root / "charts/slipway"

    @property
    def crd(self) -> Manifest:
        """Its CRD of ModelDeployments."""
        return dict(yaml.safe_load((self.root / ITS_CRD).read_text()))

    @property
    def versions(self) -> list[str]:
        """Versions of the API that its CRD serves."""
        return [each["name"] for each in self.crd["spec"]["versions"] if each["served"]]

    def build(self) -> None:
        """Build its images that models need, and push those that the registry lacks.

        Raises:
            InstallError: its own builder failed; with what it said.

        """
        self._run("-c", BUILD)

    def values(self) -> dict[str, Any]:
        """Return its own values of the test cluster, for the images that `build` pushed.

        The agent of the routers is left to the operator, as it is where nobody sets it.

        Raises:
            InstallError: its tree does not say them.

        """
        values: dict[str, Any] = json.loads(self._run("-c", PRINT_VALUES))
        del values["router"]["agentImage"]
        return values

    def known(self, model: Manifest, version: str) -> Manifest:
        """Return a ModelDeployment as its users wrote it: in that version, with fields it knows."""
        spec = keep_known(model["spec"], self._schema(version)["spec"])
        return {**model, "apiVersion": f"{self.crd['spec']['group']}/{version}", "spec": spec}

    def known_status(self, status: Manifest, version: str) -> Manifest:
        """Return what its API server keeps of a status."""
        return dict(keep_known(status, self._schema(version)["status"]))

    def _schema(self, version: str) -> dict[str, Any]:
        [found] = [it for it in self.crd["spec"]["versions"] if it["name"] == version]
        return dict(found["schema"]["openAPIV3Schema"]["properties"])

    def _run(self, *words: str) -> str:
        its_own = {"PYTHONPATH": f"{self.root / 'operator'}:{self.root}"}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env={k: v for k, v in os.environ.items() if k != "SLIPWAY_CLUSTER_NUMBER"} | its_own,
            capture_output=True,
            text=True,
            timeout=IMAGES_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}".strip()
            raise InstallError(f"the tree of {self.commit[:7]}: {said}")
        return done.stdout


def check_out(revision: str, root: Path) -> Earlier:
    """Unpack a revision into an empty directory, and let it see this clone's cluster.

    Raises:
        InstallError: git knows no such revision, or this clone has no cluster.

    """
    shown = git("show", "--no-patch", "--format=%H %cs", revision or newest_tag()).split()
    commit, date = shown[-2:]
    with subprocess.Popen(
        ["git", "archive", "--format=tar", commit], cwd=ROOT, stdout=subprocess.PIPE
    ) as archive:
        subprocess.run(["tar", "-x", "-C", str(root)], stdin=archive.stdout, check=True)

    # A copy, since it writes the names of its images beside what describes the cluster.
    (root / ITS_CLUSTER).mkdir()
    for name in ("cluster.json", "kubeconfig"):
        shutil.copy(CLUSTER / name, root / ITS_CLUSTER / name)
    shutil.copytree(CLUSTER / "bin", root / ITS_CLUSTER / "bin", symlinks=True)
    return Earlier(commit, date, root)


def newest_tag() -> str:
    """Return the newest tag before this commit.

    Raises:
        InstallError: there is none; says what to do.

    """
    try:
        return git("describe", "--tags", "--abbrev=0", "HEAD^").strip()
    except InstallError:
        raise InstallError(
            "nothing was released before: name a revision, as in make try-upgrade PREVIOUS=e939215"
        ) from None


def git(*words: str) -> str:
    """Return what git prints.

    Raises:
        InstallError: it failed.

    """
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def keep_known(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value without the fields that a structural schema does not name."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value

    if isinstance(value, list):
        return [keep_known(each, schema["items"]) for each in value]
    if isinstance(value, dict):
        named, rest = schema.get("properties", {}), schema.get("additionalProperties")
        return {
            name: keep_known(each, named.get(name, rest))
            for name, each in value.items()
            if name in named or isinstance(rest, dict)
        }
    return value
