"""The real KEDA on the test cluster: its Go module, built once, with the manifests that it brings.

Left out are the scalers that no test uses: their client libraries are two thirds of the build.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.cluster import modules
from tests.cluster.build import Program
from tests.e2e.programs import install_kinds, publish_programs, remove_kinds
from tests.kubectl import Kubectl, KubectlError, Manifest, until

VERSION = "2.21.0"
MODULE = "github.com/kedacore/keda/v2"
NAMESPACE = "keda"
OPERATOR, ADAPTER = "keda-operator", "keda-metrics-apiserver"
API = "v1beta1.external.metrics.k8s.io"
SCALERS = frozenset(
    f"{name}_scaler.go"
    for name in (
        "azure_queue",
        "cpu_memory",
        "cron",
        "external",
        "kubernetes_resource",
        "kubernetes_workload",
        "metrics_api",
        "prometheus",
    )
)
"""Those that are kept; azure_queue has a constant that all others use."""
READY_SECONDS = 240.0
"""It makes its certificates first, and waits until the kubelet shows them."""
CASE = re.compile(r'\tcase (?:"[^"]+"(?:, )?)+:\n\t\treturn scalers\.(\w+)\(.*\)\n')


def leave_out_scalers(sources: Path) -> None:
    """Take the scalers that no test uses out of the sources, and out of the list of triggers."""
    made: set[str] = set()
    for path in sorted((sources / "pkg/scalers").glob("*.go")):
        if path.name in SCALERS | {"scaler.go"}:
            made.update(re.findall(r"^func (New\w+)\(", path.read_text(), re.MULTILINE))
        else:
            path.unlink()

    builder = sources / "pkg/scaling/scalers_builder.go"
    text = builder.read_text()
    builder.write_text(CASE.sub(lambda case: case[0] if case[1] in made else "", text))


PROGRAMS = tuple(
    Program(
        name,
        VERSION,
        package,
        module=MODULE,
        change=leave_out_scalers,
        recipe=tuple(sorted(SCALERS)),
    )
    for name, package in (("keda", "./cmd/operator"), ("keda-adapter", "./cmd/adapter"))
)
"""By the name of the binary, as the manifests have it."""


@contextmanager
def running(kubectl: Kubectl) -> Iterator[None]:
    """Run KEDA while the body runs; afterwards nothing of it is left."""
    manifests = list(_manifests(kubectl))
    kubectl.apply_server_side(*(item for item in manifests if item["kind"] == "Namespace"))
    kubectl.apply_server_side(*manifests)
    try:
        wait(kubectl)
        yield
    finally:
        remove(kubectl)


def wait(kubectl: Kubectl) -> None:
    """Wait until KEDA runs and its metrics are served."""
    for name in (OPERATOR, ADAPTER):
        kubectl.wait(NAMESPACE, f"deployment/{name}", "condition=Available", READY_SECONDS)
    words = ("wait", f"apiservice/{API}", "--for=condition=Available", "--timeout=120s")
    kubectl.run(*words, seconds=130)


def scale_operator(kubectl: Kubectl, replicas: int) -> None:
    """Take KEDA's operator away at once, or bring it back."""
    kubectl.run("scale", f"deployment/{OPERATOR}", "-n", NAMESPACE, f"--replicas={replicas}")
    if not replicas:
        words = ("delete", "pods", "-n", NAMESPACE, "-l", f"app={OPERATOR}", "--grace-period=0")
        kubectl.run(*words, "--force", "--ignore-not-found")


def remove(kubectl: Kubectl) -> None:
    """Remove all of KEDA that a run may have left.

    Its API goes first: discovery fails for everybody while nobody serves it.
    """
    kubectl.run("delete", "apiservice", API, "--ignore-not-found")
    let_go(kubectl)
    remove_crds(kubectl)
    kubectl.delete_namespace(NAMESPACE)
    for kind in ("clusterrole", "clusterrolebinding"):
        found = kubectl.run("get", kind, "-o", "name").split()
        ours = [name for name in found if name.partition("/")[2].startswith("keda-")]
        if ours:
            kubectl.run("delete", *ours)


def let_go(kubectl: Kubectl) -> None:
    """Take KEDA's finalizers away, for a KEDA that runs no more."""
    try:
        words = ("get", "scaledobjects", "--all-namespaces", "-o", "json")
        left = json.loads(kubectl.run(*words))["items"]
    except KubectlError:
        return  # the kind is gone
    for item in left:
        metadata = item["metadata"]
        patch = json.dumps({"metadata": {"finalizers": []}})
        where = ("scaledobject", metadata["name"], "-n", metadata["namespace"])
        kubectl.run("patch", *where, "--type=merge", "-p", patch)


def install_crds(kubectl: Kubectl) -> None:
    """Install KEDA's CRDs alone, and wait until they are served."""
    rendered = _rendered(kubectl)
    install_kinds(kubectl, (it for it in rendered if it["kind"] == "CustomResourceDefinition"))


def remove_crds(kubectl: Kubectl) -> None:
    """Remove KEDA's CRDs, with all objects of theirs."""
    remove_kinds(kubectl, "keda.sh")


def _rendered(kubectl: Kubectl) -> Iterator[Manifest]:
    text = kubectl.run("kustomize", str(modules.find_module(MODULE, VERSION) / "config/minimal"))
    documents = yaml.load_all(text, Loader=yaml.CSafeLoader)  # 80,000 lines
    yield from (item for item in documents if item)


def _manifests(kubectl: Kubectl) -> Iterator[Manifest]:
    """Return KEDA's own manifests, with our images, and small."""
    images = {f"/{name}": image for name, image in publish_programs(PROGRAMS).items()}
    for item in _rendered(kubectl):
        if item["kind"] == "Deployment":
            [container] = item["spec"]["template"]["spec"]["containers"]
            container["image"] = images[container["command"][0]]
            container["imagePullPolicy"] = "IfNotPresent"
            container["resources"] = {"requests": {"cpu": "20m", "memory": "64Mi"}}
        yield item


def wait_until_gone(kubectl: Kubectl, namespace: str) -> None:
    """Wait until KEDA has let go of the ScaledObjects of a namespace."""

    def is_empty() -> bool:
        return not kubectl.items(namespace, "scaledobjects")

    until(is_empty, "no ScaledObject", 60)
