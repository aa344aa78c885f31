"""A Git repository in the cluster, with what a team has in it: the samples of manifests/."""

import base64
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import yaml
from slipway.api.names import API_VERSION

from tests.cluster import clone, settings
from tests.e2e.objects import NAMESPACE, Model
from tests.images import build
from tests.images.catalogue import Image
from tests.kubectl import CLONE, POD_SECURITY, RESTRICTED, Kubectl, Manifest

IMAGE = Image("git", "tests/images/git/Dockerfile")
SAMPLES = CLONE / "manifests/samples/gitops"
BRANCH = "main"
NAME = "git"
PORT = 8080
ROOT, WORK = "/srv/git/models.git", "/srv/work"
READY_SECONDS = 120.0
PRODUCTION = "environments/production/kustomization.yaml"

BEGIN = f"""
set -eu
rm -rf {ROOT} {WORK}
git config --global user.name team
git config --global user.email team@example.com
git init --quiet --bare --initial-branch={BRANCH} {ROOT}
git clone --quiet {ROOT} {WORK}
cd {WORK} && git switch --quiet --orphan {BRANCH}
"""
COMMIT = f"""
set -eu
cd {WORK}
git rm -r --quiet --ignore-unmatch .
base64 -d | tar -x
git add --all
git commit --quiet --allow-empty --message "$1"
git push --quiet origin {BRANCH}
git rev-parse HEAD
"""
REVERT = f"""
set -eu
cd {WORK}
git revert --no-edit HEAD >/dev/null
git push --quiet origin {BRANCH}
git rev-parse HEAD
"""


@dataclass(slots=True)
class Repository:
    """The repository, and what the last commit of ours had in it."""

    kubectl: Kubectl
    files: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the tools of the cluster find it."""
        return f"http://{NAME}.{NAMESPACE}.svc:{PORT}/models.git"

    def start(self) -> None:
        """Start the server with an empty repository."""
        registry = (clone.description(settings.CLONE) or {})["registry"]
        image = build.workshop().publish(IMAGE, registry)
        self.kubectl.apply(*_render(image))
        words = ("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE)
        self.kubectl.run(*words, f"--timeout={READY_SECONDS:.0f}s", seconds=READY_SECONDS + 10)
        self._run(BEGIN)
        self.files = {
            str(path.relative_to(SAMPLES)): path.read_text()
            for folder in ("models", "environments")
            for path in (SAMPLES / folder).rglob("*.yaml")
        }

    def commit(self, message: str, files: Mapping[str, str | None]) -> str:
        """Commit and push changed files, None removes one; returns the commit's id."""
        changed: dict[str, str | None] = {**self.files, **files}
        self.files = {path: text for path, text in changed.items() if text is not None}
        return self._run(COMMIT, message, stdin=base64.b64encode(_tar(self.files)).decode())

    def commit_model(self, model: Model, beside: Mapping[str, str | None]) -> str:
        """Commit a version of production, with the sample's own patch and one more.

        Beside it are manifests of the same folder, None for one that is absent.
        """
        resources = [PurePath(path).name for path, text in beside.items() if text is not None]
        production = render_production(model, resources)
        return self.commit(f"version {model.version}", {**beside, PRODUCTION: production})

    def revert(self) -> str:
        """Revert the newest commit, as a person would; returns the id of the one that does."""
        return self._run(REVERT)

    def _run(self, script: str, *words: str, stdin: str = "") -> str:
        where = ("exec", "-i", f"deployment/{NAME}", "-n", NAMESPACE)
        return self.kubectl.run(*where, "--", "sh", "-c", script, "sh", *words, stdin=stdin).strip()


def render_production(model: Model, beside: Sequence[str]) -> str:
    """Return the sample's environment with another version, and with what tests need beside it.

    That is small and quick rollouts, and the CRDs, which no tool may prune.
    """
    environment = yaml.safe_load((SAMPLES / PRODUCTION).read_text())
    manifest = model.manifest()
    [sample] = environment["patches"]
    patched = yaml.safe_load(sample["patch"])
    patched["spec"]["model"] = manifest["spec"].pop("model")
    more: Manifest = {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": model.name},
        "spec": manifest["spec"],
    }

    environment["namespace"] = model.namespace
    environment["resources"] += ["../../crds", *beside]
    environment["patches"] = [{"patch": yaml.safe_dump(each)} for each in (patched, more)]
    return yaml.safe_dump(environment)


def _tar(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tree:
        for path, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tree.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _render(image: str) -> list[Manifest]:
    metadata = {"name": NAME, "namespace": NAMESPACE, "labels": {"app": NAME}}
    container = {
        "name": "git",
        "image": image,
        "env": [{"name": "HOME", "value": "/srv"}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "repositories", "mountPath": "/srv"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "repositories", "emptyDir": {}}],
    }
    deployment = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": NAME}},
        "template": {"metadata": {"labels": {"app": NAME}}, "spec": pod},
    }
    ports = [{"name": "http", "port": PORT, "targetPort": "http"}]

    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": ports},
        },
    ]
