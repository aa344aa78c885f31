"""The real Argo CD on the test cluster: its core installation, built once from its module.

Left out of its program is all that no test uses: the API server with its pages, the command line,
ApplicationSets, notifications. Its image has no helm.
"""

import base64
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.cluster import clone, modules, settings
from tests.cluster.build import Program, build_programs
from tests.cluster.progress import Progress
from tests.e2e import objects
from tests.e2e.programs import install_kinds, remove_kinds
from tests.e2e.repository import SAMPLES, Repository
from tests.images import build
from tests.images.catalogue import Image
from tests.kubectl import CLONE, Kubectl, Manifest, until

VERSION = "3.6.1"
MODULE = "github.com/argoproj/argo-cd/v3"
TOOLCHAIN = "go1.27.3"
KUSTOMIZE = "5.8.2"
"""One patch before the one in its released image, which not every proxy has in full."""
KEPT = ("appcontroller", "gitaskpass", "reposerver")
"""As the program's main file calls them."""
VERIFY = "git-verify-wrapper.sh"
"""Asks git whether a commit is signed; it must be there, though nothing demands a signature."""
IMAGE = Image("argocd", "tests/images/argocd/Dockerfile")
BINARIES = CLONE / ".e2e/argocd"
"""Where the image takes the programs from."""

NAMESPACE = "argocd"
REDIS, REPO_SERVER = "deployment/argocd-redis", "deployment/argocd-repo-server"
CONTROLLER = "statefulset/argocd-application-controller"
WORKLOADS = (REDIS, REPO_SERVER, CONTROLLER)
READY_SECONDS = 240.0
MEMORY = {"redis": "128Mi", "argocd-repo-server": "512Mi", "argocd-application-controller": "512Mi"}
"""The most that each container may have: several times what it needs here."""
PASSWORD = "cached-states-of-one-test"  # noqa: S105
PROJECT: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": "default", "namespace": NAMESPACE},
    "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    },
}
"""As the API server creates it."""
TREE = "app|resources-tree|{name}|1.8.3.gz"
"""Where Argo CD keeps what its pages show of an Application."""
READ_TREE = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli --raw GET "$1" | base64'
NEWS = re.compile(r"Updated (sync|health) status: (\w*) -> (\w+)|(Initiated automated sync)")


def leave_out_programs(sources: Path) -> None:
    """Take all programs out of the main file but those that are kept.

    Its library is released under its own name, which go.mod replaces by a folder that is not here.
    And it turns off what a balancer turns on that nothing else imports, and panics where it is off.
    """
    file = sources / "go.mod"
    text = file.read_text()
    file.write_text(re.sub(r"\nreplace \S+/gitops-engine/v3 => \./\S+\n", "\n", text))

    main = sources / "cmd/main.go"
    text = main.read_text()
    imported = re.compile(r'\t(\w+) "github\.com/argoproj/argo-cd/v3/cmd/[^"]+"\n')
    text = imported.sub(lambda line: line[0] if line[1] in KEPT else "", text)
    case = re.compile(r"\tcase common\.\w+:\n\t\tcommand = (\w+)\.NewCommand\(\)\n(?:\t\tis.*\n)?")
    text = case.sub(lambda found: found[0] if found[1] in KEPT else "", text)
    text = re.sub(r"\tdefault:\n.*?\n\t\}\n", "\t}\n", text, flags=re.DOTALL)
    ending = "\tif command.Execute() != nil {\n\t\tos.Exit(1)\n\t}\n}\n"
    text = re.sub(r"\terr := command\.Execute\(\)\n.*\Z", ending, text, flags=re.DOTALL)
    unused = r'\t"(errors|os/exec|\S+/util/grpc)"\n|\tgrpc\.DisableSRVLookups\(\)\n'
    main.write_text(re.sub(unused, "", text))


PROGRAMS = (
    Program(
        "argocd",
        VERSION,
        "./cmd",
        variables=((f"{MODULE}/common.version", VERSION),),
        module=MODULE,
        change=leave_out_programs,
        recipe=KEPT,
        toolchain=TOOLCHAIN,
    ),
    Program("kustomize", KUSTOMIZE, "sigs.k8s.io/kustomize/kustomize/v5"),
)


def publish_image() -> str:
    """Return the reference of an image with both programs, and a script of Argo CD's own."""
    BINARIES.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:  # one after the other: each has the memory of the machine
        build_programs((program,), Progress())
        shutil.copy2(program.path, BINARIES / program.name)
    script = BINARIES / VERIFY
    script.write_text(dict(modules.read_module(MODULE, VERSION, "hack"))[f"hack/{VERIFY}"])
    script.chmod(0o755)
    registry = (clone.description(settings.CLONE) or {})["registry"]
    return build.workshop().publish(IMAGE, registry)


@contextmanager
def running(kubectl: Kubectl) -> Iterator[None]:
    """Run Argo CD while the body runs; afterwards nothing of it is left."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    manifests = list(_manifests(publish_image()))
    crds = [item for item in manifests if item["kind"] == "CustomResourceDefinition"]
    try:
        install_kinds(kubectl, crds)
        kubectl.apply_server_side(*(item for item in manifests if item not in crds))
        for workload in WORKLOADS:
            words = ("rollout", "status", workload, "-n", NAMESPACE)
            seconds = f"--timeout={READY_SECONDS:.0f}s"
            kubectl.run(*words, seconds, seconds=READY_SECONDS + 10)
        yield
    finally:
        remove(kubectl)


def remove(kubectl: Kubectl) -> None:
    """Remove all of Argo CD that a run may have left; what it applied stays."""
    remove_kinds(kubectl, "argoproj.io")
    kubectl.delete_namespace(NAMESPACE)
    for item in _released():
        if item["kind"] in ("ClusterRole", "ClusterRoleBinding"):
            kubectl.run("delete", item["kind"], item["metadata"]["name"], "--ignore-not-found")


def _released() -> Iterator[Manifest]:
    """Yield the manifests of the core installation, without those of ApplicationSets."""
    texts = dict(modules.read_module(MODULE, VERSION, "manifests"))
    for item in yaml.load_all(texts["manifests/core-install.yaml"], Loader=yaml.CSafeLoader):
        if not item["metadata"]["name"].startswith("argocd-applicationset"):
            yield item


def _manifests(image: str) -> Iterator[Manifest]:
    """Return Argo CD's own manifests, with our image, and the sample's health script."""
    sample = yaml.safe_load((SAMPLES / "argocd/argocd-cm.yaml").read_text())
    for item in _released():
        if not item["kind"].startswith(("Cluster", "Custom")):
            item["metadata"]["namespace"] = NAMESPACE
        if item["metadata"]["name"] == sample["metadata"]["name"]:
            item["data"] |= sample["data"]
        if item["kind"] in ("Deployment", "StatefulSet"):
            _fit(item["spec"]["template"]["spec"], image)
        yield item

    secret = {"name": "argocd-redis", "namespace": NAMESPACE}
    content = {"auth": PASSWORD}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": content}
    yield PROJECT


def _fit(pod: Manifest, image: str) -> None:
    """Give a pod our image and little room; the password of Redis is there already."""
    first = pod.get("initContainers", ())
    pod["initContainers"] = [each for each in first if each["name"] != "secret-init"]
    for container in (*pod["initContainers"], *pod["containers"]):
        container["image"] = image
        container["imagePullPolicy"] = "IfNotPresent"

    [container] = pod["containers"]
    memory = MEMORY[container["name"]]
    asked = {"cpu": "20m", "memory": "64Mi"}
    container["resources"] = {"requests": asked, "limits": {"memory": memory}}
    container.setdefault("env", []).append({"name": "ARGOCD_GPG_ENABLED", "value": "false"})
    if container["name"] == "redis":
        container["command"] = ["redis-server"]


class Synced:
    """What Argo CD makes of the repository, by the sample's own Application."""

    tool = "Argo CD"

    def __init__(self, kubectl: Kubectl, repository: Repository) -> None:
        self.kubectl = kubectl
        application = yaml.safe_load((SAMPLES / "argocd/application.yaml").read_text())
        application["spec"]["source"]["repoURL"] = repository.url
        application["spec"]["destination"]["namespace"] = objects.NAMESPACE
        self.name = application["metadata"]["name"]
        self._manifest = application

    def begin(self) -> None:
        """Apply the Application."""
        self.kubectl.apply(self._manifest)

    def fetch(self) -> None:
        """Let Argo CD look at the repository now, as a webhook of the Git server does."""
        words = ("annotate", "application", self.name, "-n", NAMESPACE, "--overwrite")
        self.kubectl.run(*words, "argocd.argoproj.io/refresh=normal")

    @property
    def status(self) -> Manifest:
        """Status of the Application."""
        found = self.kubectl.get(NAMESPACE, "application", self.name) or {}
        return dict(found.get("status", {}))

    @property
    def health(self) -> str:
        """Health of the Application."""
        return str(self.status.get("health", {}).get("status", ""))

    def out_of_sync(self) -> set[str]:
        """Return what differs from the commit, as kind and name."""
        listed = self.status.get("resources", ())
        return {f"{it['kind']}/{it['name']}" for it in listed if it.get("status") != "Synced"}

    def wait_until_seen(self, commit: str, seconds: float) -> None:
        """Wait until the cluster was compared with a commit, whatever came of it."""

        def is_compared() -> bool:
            return bool(self.status.get("sync", {}).get("revision") == commit)

        until(is_compared, f"{commit[:7]} compared", seconds)

    def wait_until_applied(self, commit: str, seconds: float) -> None:
        """Wait until a commit is applied, and nothing differs from it."""

        def is_applied() -> bool:
            sync = self.status.get("sync", {})
            return bool(sync.get("revision") == commit and sync.get("status") == "Synced")

        until(is_applied, f"{commit[:7]} applied", seconds)

    def wait_until(self, health: str, commit: str, seconds: float) -> None:
        """Wait until a commit is applied, and its health is this."""

        def is_so() -> bool:
            status = self.status
            sync = status.get("sync", {})
            in_sync = sync.get("revision") == commit and sync.get("status") == "Synced"
            return bool(in_sync and status.get("health", {}).get("status") == health)

        until(is_so, f"{commit[:7]} {health}", seconds)

    @property
    def operation(self) -> Manifest:
        """The newest sync, under way or over."""
        return dict(self.status.get("operationState", {}))

    def shown(self) -> list[Manifest]:
        """Return the nodes of the tree that Argo CD's pages show."""
        key = TREE.format(name=self.name)
        words = ("exec", REDIS, "-n", NAMESPACE, "--", "sh", "-c", READ_TREE, "sh", key)
        packed = base64.b64decode(self.kubectl.run(*words))
        tree = json.loads(zlib.decompressobj(wbits=31).decompress(packed))
        return list(tree.get("nodes") or ())

    def shown_health(self, kind: str, name: str) -> tuple[str, str]:
        """Return health and message that are shown of an object; empty without it."""
        for node in self.shown():
            if (node["kind"], node["name"]) == (kind, name):
                health = node.get("health", {})
                return health.get("status", ""), health.get("message", "")
        return "", ""

    def news(self) -> list[str]:
        """Return what Argo CD told of the Application, in its order.

        From its log, not the events: the API's client drops those where there are many.
        """
        words = ("logs", "-n", NAMESPACE, CONTROLLER, "--tail=-1")
        entries = (_entry_of(line) for line in self.kubectl.run(*words).splitlines())
        told = (NEWS.match(str(entry["msg"])) for entry in entries if "reason" in entry)
        return [
            found[4] or f"{found[1]}: {found[2]} -> {found[3]}"
            for found in told
            if found is not None
        ]


def _entry_of(line: str) -> Manifest:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}  # the first lines of a process are plain
