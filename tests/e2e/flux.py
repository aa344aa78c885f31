"""The real Flux on the test cluster: two controllers, built once, with what their modules bring.

Left out of source-controller are the sources that no test uses (buckets, Helm, OCI): their client
libraries are a third of the build.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.cluster import modules
from tests.cluster.build import Program
from tests.e2e.programs import install_kinds, publish_programs, remove_kinds
from tests.e2e.repository import SAMPLES, Repository
from tests.kubectl import Kubectl, KubectlError, Manifest, until

VERSION = "1.9.6"
"""Of October 2026, of both; the newest that Go 1.26 builds."""
MODULES = {
    name: f"github.com/fluxcd/{name}" for name in ("source-controller", "kustomize-controller")
}
PINNED = ("github.com/fluxcd/pkg/artifact", "v0.18.0")
"""Three patches before the one that go.mod names, which not every proxy has."""
LEFT_OUT = ("HelmRepository", "HelmChart", "Bucket", "OCIRepository")
NAMESPACE = "flux-system"
FOLDERS = ("crd", "rbac", "manager")
READY_SECONDS = 180.0
CANCEL = "--feature-gates=CancelHealthCheckOnNewRevision=true"
"""Without it a commit waits until the health of the one before it is known."""

APPLIED, PRUNED = "server-side apply", "garbage collection completed:"
"""How lines of kustomize-controller's log begin."""


def change_kustomize_controller(sources: Path) -> None:
    """Take its API from the API's own module, as it is not in this one."""
    _edit_requirements(sources, f"-dropreplace={MODULES['kustomize-controller']}/api")


def change_source_controller(sources: Path) -> None:
    """Do the same, pin a library, and take all kinds of sources but Git out."""
    module, version = PINNED
    _edit_requirements(
        sources,
        f"-dropreplace={MODULES['source-controller']}/api",
        f"-replace={module}={module}@{version}",
    )

    main = sources / "main.go"
    text = main.read_text()
    for kind in LEFT_OUT:
        (sources / f"internal/controller/{kind.lower()}_controller.go").unlink()
        begin = rf"\tif err := \(&controller\.{kind}Reconciler\{{"
        text = re.sub(rf"{begin}.*?\n\t\}}\n", "", text, flags=re.DOTALL)

    used_by_them = (
        "CosignVerifierFactory :=",
        "mustSetupHelmLimits(helm",
        "mustInitHelmCache(helm",
        "cacheRecorder :=",
        'internal/cache"',
        'internal/helm"',
        "scosign ",
        "helm/v4/pkg/getter",
    )
    lines = text.splitlines(keepends=True)
    text = "".join(line for line in lines if not any(word in line for word in used_by_them))
    text = re.sub(r"\tgetters  = getter\.Providers\{.*?\n\t\}\n", "", text, flags=re.DOTALL)
    functions = r"func must(SetupHelmLimits|InitHelmCache)\(.*?\n\}\n"
    text = re.sub(functions, "", text, flags=re.DOTALL)
    text = re.sub(r"\tflag\.\w+Var\(&helm\w+,[^\n]*\n[^\n]*\n", "", text)
    main.write_text(re.sub(r"\t\thelm\w+ +\w+\n", "", text))


def _edit_requirements(sources: Path, *edits: str) -> None:
    subprocess.run(("go", "mod", "edit", *edits), cwd=sources, check=True)


PROGRAMS = (
    Program(
        "source-controller",
        VERSION,
        ".",
        module=MODULES["source-controller"],
        change=change_source_controller,
        recipe=(*LEFT_OUT, *PINNED),
    ),
    Program(
        "kustomize-controller",
        VERSION,
        ".",
        module=MODULES["kustomize-controller"],
        change=change_kustomize_controller,
    ),
)


@contextmanager
def running(kubectl: Kubectl) -> Iterator[None]:
    """Run Flux while the body runs; afterwards nothing of it is left."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    manifests = list(_manifests(kubectl))
    crds = [item for item in manifests if item["kind"] == "CustomResourceDefinition"]
    try:
        install_kinds(kubectl, crds)
        kubectl.apply_server_side(*(item for item in manifests if item not in crds))
        for name in MODULES:
            kubectl.wait(NAMESPACE, f"deployment/{name}", "condition=Available", READY_SECONDS)
        yield
    finally:
        remove(kubectl)


@contextmanager
def waiting_for_health(kubectl: Kubectl) -> Iterator[None]:
    """Run kustomize-controller without the gate while the body runs."""
    _set_arguments(kubectl, lambda words: [word for word in words if word != CANCEL])
    try:
        yield
    finally:
        _set_arguments(kubectl, lambda words: [*words, CANCEL])


def _set_arguments(kubectl: Kubectl, change: Callable[[list[str]], list[str]]) -> None:
    name = "kustomize-controller"
    found = kubectl.get(NAMESPACE, "deployment", name) or {}
    [container] = found["spec"]["template"]["spec"]["containers"]
    path = "/spec/template/spec/containers/0/args"
    patch = [{"op": "replace", "path": path, "value": change(container["args"])}]
    where = (f"deployment/{name}", "-n", NAMESPACE)
    kubectl.run("patch", *where, "--type=json", "-p", json.dumps(patch))
    words = ("rollout", "status", *where, f"--timeout={READY_SECONDS:.0f}s")
    kubectl.run(*words, seconds=READY_SECONDS + 10)


def remove(kubectl: Kubectl) -> None:
    """Remove all of Flux that a run may have left; what it applied stays."""
    for kind in ("kustomizations.kustomize.toolkit.fluxcd.io", "gitrepositories"):
        _let_go(kubectl, kind)
    remove_kinds(kubectl, "fluxcd.io")
    kubectl.delete_namespace(NAMESPACE)
    for kind in ("clusterrole", "clusterrolebinding"):
        names = [item["metadata"]["name"] for item in _manifests_of_rights(kubectl, kind)]
        kubectl.run("delete", kind, *names, "--ignore-not-found")


def _let_go(kubectl: Kubectl, kind: str) -> None:
    """Take the finalizers away first, so that Flux prunes nothing."""
    try:
        names = kubectl.run("get", kind, "-n", NAMESPACE, "-o", "name").split()
    except KubectlError:
        return  # the kind is gone
    patch = json.dumps({"metadata": {"finalizers": []}, "spec": {"suspend": True}})
    for name in names:
        kubectl.run("patch", name, "-n", NAMESPACE, "--type=merge", "-p", patch)
        kubectl.run("delete", name, "-n", NAMESPACE, "--ignore-not-found")


def _manifests_of_rights(kubectl: Kubectl, kind: str) -> Iterator[Manifest]:
    return (item for item in _rendered(kubectl) if item["kind"].lower() == kind)


def _rendered(kubectl: Kubectl) -> Iterator[Manifest]:
    for module in MODULES.values():
        for folder in FOLDERS:
            place = modules.find_module(module, VERSION) / "config" / folder
            yield from yaml.load_all(kubectl.run("kustomize", str(place)), Loader=yaml.CSafeLoader)


def _manifests(kubectl: Kubectl) -> Iterator[Manifest]:
    """Return Flux's own manifests, with our images, in its usual namespace."""
    images = publish_programs(PROGRAMS)
    for item in _rendered(kubectl):
        if not item["kind"].startswith(("Cluster", "Custom")):
            item["metadata"]["namespace"] = NAMESPACE
        for subject in item.get("subjects", ()):
            subject["namespace"] = NAMESPACE
        if item["kind"] == "Deployment":
            [container] = item["spec"]["template"]["spec"]["containers"]
            name = item["metadata"]["name"]
            container["image"] = images[name]
            container["resources"] = {"requests": {"cpu": "20m", "memory": "64Mi"}}
            if name == "kustomize-controller":
                container["args"].append(CANCEL)
        yield item


class Synced:
    """What Flux makes of the repository, by the sample's own GitRepository and Kustomization."""

    tool = "Flux"

    def __init__(self, kubectl: Kubectl, repository: Repository) -> None:
        self.kubectl = kubectl
        source, kustomization = yaml.safe_load_all((SAMPLES / "flux/models.yaml").read_text())
        source["spec"]["url"] = repository.url
        self.name = kustomization["metadata"]["name"]
        self._source = source["metadata"]["name"]
        self._manifests = (source, kustomization)

    def begin(self) -> None:
        """Apply both objects."""
        self.kubectl.apply(*self._manifests)

    def fetch(self) -> None:
        """Let Flux look at the repository now, as a webhook of the Git server does."""
        kind, name = "gitrepository", self._source
        found = self.kubectl.get(NAMESPACE, kind, name) or {}
        asked = f"after {found['metadata']['resourceVersion']}"
        words = ("annotate", kind, name, "-n", NAMESPACE, "--overwrite")
        self.kubectl.run(*words, f"reconcile.fluxcd.io/requestedAt={asked}")

    @property
    def status(self) -> Manifest:
        """Status of the Kustomization."""
        found = self.kubectl.get(NAMESPACE, "kustomization", self.name) or {}
        return dict(found.get("status", {}))

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; empty without it."""
        found = (each for each in self.status.get("conditions", ()) if each["type"] == kind)
        return next(((it["status"], it["reason"], it["message"]) for it in found), ("", "", ""))

    def wait_until_ready(self, commit: str, seconds: float) -> None:
        """Wait until a commit is applied and all in it is healthy."""

        def is_ready() -> bool:
            applied = str(self.status.get("lastAppliedRevision", ""))
            return applied.endswith(commit) and self.condition("Ready")[0] == "True"

        until(is_ready, f"{commit[:7]} ready", seconds)

    def wait_until_seen(self, commit: str, seconds: float) -> None:
        """Wait until a commit is applied, and its health is looked at."""

        def is_looked_at() -> bool:
            attempted = str(self.status.get("lastAttemptedRevision", ""))
            healthy = self.condition("Healthy")
            return attempted.endswith(commit) and commit in healthy[2]

        until(is_looked_at, f"{commit[:7]} applied", seconds)

    def wait_until_failed(self, commit: str, seconds: float) -> str:
        """Wait until a commit is found to be unhealthy; returns what is said of it."""

        def is_failed() -> bool:
            attempted = str(self.status.get("lastAttemptedRevision", ""))
            status, reason, _ = self.condition("Ready")
            failed = (status, reason) == ("False", "HealthCheckFailed")
            return attempted.endswith(commit) and failed

        until(is_failed, f"{commit[:7]} failed", seconds)
        return self.condition("Ready")[2]

    def has_fetched(self, commit: str) -> bool:
        """Tell whether Flux has a commit, applied or not."""
        found = self.kubectl.get(NAMESPACE, "gitrepository", self._source) or {}
        fetched = found.get("status", {}).get("artifact", {}).get("revision", "")
        return bool(fetched.endswith(commit))

    def changes(self) -> Counter[str]:
        """Return what Flux logged that is not unchanged, and how often.

        Not the events: the API's client drops them where there are many of one object.
        """
        words = ("logs", "-n", NAMESPACE, "deployment/kustomize-controller", "--tail=-1")
        said: Counter[str] = Counter()
        for line in self.kubectl.run(*words).splitlines():
            entry = json.loads(line)
            if entry["msg"].startswith(APPLIED):
                found = entry["output"].items()
                said.update(f"{name} {did}" for name, did in found if did != "unchanged")
            elif entry["msg"].startswith(PRUNED):
                said.update(entry["msg"].removeprefix(PRUNED).strip().splitlines())
        return said
