"""What an administrator does without internet: the bundle, an empty place in a registry, Helm.

Nothing of this clone is used but the bundle that `make release` wrote, and the cluster. The release
of the clone is uninstalled first; `make install` brings it back.
"""

import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.clients import Plan
from tests.install import helm, release
from tests.kubectl import CLUSTER, Kubectl, Manifest, restricted_namespace
from tests.load.pod import Load
from tests.models.samples import build_samples
from tests.models.server import serve_files, uri

pytestmark = pytest.mark.release

NAMESPACE = "slipway-from-the-bundle"
STEP_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Site:
    """An administrator's empty directory, with kubectl, Helm and Python on PATH."""

    directory: Path

    def run(self, *command: str) -> str:
        """Run a command there, show what it says, and return it."""
        print(f"$ {shlex.join(command)}", flush=True)
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        print(done.stdout, flush=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _environment(self) -> dict[str, str]:
        programs = [
            self.directory / "bin",
            Path(sys.executable).resolve().parent,
            "/usr/bin",
            "/bin",
        ]
        return {
            "PATH": ":".join(str(place) for place in programs),
            "HOME": str(self.directory),
            "KUBECONFIG": str(CLUSTER / "kubeconfig"),
        }


@pytest.fixture(scope="module")
def bundle() -> Path:
    found = sorted((helm.ROOT / "build/release").glob("slipway-bundle-*"))
    assert found, "build/release has no bundle: run 'make release'"
    return found[-1]


@pytest.fixture(scope="module")
def site(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    programs = directory / "bin"
    programs.mkdir()
    for name in ("kubectl", "helm"):
        (programs / name).symlink_to((CLUSTER / "bin" / name).resolve())
    shutil.copy(bundle, directory / "slipway-bundle")
    release.down()
    yield Site(directory)
    Kubectl().delete_namespace(NAMESPACE)
    release.down()


def digits(version: str) -> Manifest:
    """Return the six lines, and what a small cluster needs beside them."""
    return {
        "apiVersion": "slipway.dev/v1beta1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": NAMESPACE},
        "spec": {
            "model": {
                "version": version,
                "source": {"uri": uri(NAMESPACE, f"digits-{version}.onnx")},
            },
            "server": {"resources": {"requests": {"cpu": "20m", "memory": "192Mi"}}},
            "rollout": {"steps": [{"weight": 50}], "bakeSeconds": 5},
        },
    }


def test_a_release_is_loaded_installed_rolls_out_and_leaves_what_serves(site: Site) -> None:
    kubectl = Kubectl()
    registry = release.registry()
    assert registry is not None
    place = f"{registry}/bundle-{uuid.uuid4().hex[:8]}"

    loaded = site.run("./slipway-bundle", "load", place, "--plain-http")
    assert loaded.count(" sent") == 4
    command = loaded.partition("Install it with\n\n")[2].partition("\n\n")[0]
    values = site.directory / "values.yaml"
    values.write_text(yaml.safe_dump(values_of_the_site(registry)))
    site.run("bash", "-c", f"{command} --values {values}")

    site.run("./slipway-bundle", "unpack", "files")
    plugin = site.directory / "files/kubectl-slipway-linux-amd64"
    shutil.copy(plugin, site.directory / "bin/kubectl-slipway")
    assert "kubectl slipway" in site.run("kubectl", "slipway", "--help")

    samples = build_samples()
    image = f"{place}/slipway/operator:0.1.0"
    kubectl.delete_namespace(NAMESPACE)
    kubectl.apply(restricted_namespace(NAMESPACE))
    serve_files(kubectl, NAMESPACE, image, samples.files)
    promote(site, kubectl, "1")
    with Load(kubectl, NAMESPACE, image, Plan("digits").for_pod(samples.load)) as load:
        promote(site, kubectl, "2")
        site.run("helm", "uninstall", "slipway", "--namespace", helm.NAMESPACE, "--wait")
        load.wait_for(lambda since: since.sent >= 100, "answers without the operator")
    assert load.total.failed == load.total.lost == 0
    assert load.total.sent > 100


def promote(site: Site, kubectl: Kubectl, version: str) -> None:
    kubectl.apply(digits(version))
    goal = ("--for=promoted", "--timeout=240s")
    site.run("kubectl", "slipway", "wait", "digits", "-n", NAMESPACE, *goal)
    assert version in site.run("kubectl", "slipway", "get", "-n", NAMESPACE)


def values_of_the_site(registry: str) -> Manifest:
    """Return what only the administrator knows: Triton's image, and the registry of models."""
    return {
        "server": {"image": release.images().triton},
        "sources": {"allowPlainHTTP": True},
        "registry": {"prefix": f"{registry}/models"},
        "registries": [{"host": registry, "plainHTTP": True, "anonymous": True}],
    }
