"""One small node, with all of Kubernetes in the same gigabyte, at the end of a link that breaks."""

import hashlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway.api.modeldeployment import HistoryEntry, Outcome
from slipway.api.names import (
    CLIENT_HTTP_PORT,
    COMPONENT_SERVER,
    LABEL_COMPONENT,
)
from slipway.jobs.model_digest import FileDigest, TreeDigest

from tests.cluster import settings
from tests.cluster.components import CONTROL_PLANE
from tests.cluster.process import PROC
from tests.contract.registry.bench import Shelf
from tests.demo.prepare import run_module
from tests.demo.report import describe_causes
from tests.e2e import small_node
from tests.e2e.deployed import Deployed
from tests.e2e.figures import Figures
from tests.e2e.slow_link import Outside, slow_link
from tests.e2e.small_node import NODE_PARTS, Usage
from tests.install import helm, release
from tests.kubectl import CLONE, Kubectl, Manifest, restricted_namespace, until
from tests.load.plan import LoadPlan
from tests.models.digits import load_split
from tests.models.networks import export, train_network, train_regression, widened
from tests.models.samples import Samples

pytestmark = [pytest.mark.e2e, pytest.mark.edge]

PAGE = CLONE / "docs/tasks/edge.md"
NAME, NAMESPACE = "digits", "edge"
RATE = 10.0
MODEL_MEGABYTES = 20
CUT_AFTER = [4_000_000, 3_000_000, 0, 6_000_000, 2_000_000]
"""Bytes after which the link breaks; the rest comes at last."""
TOO_MUCH = f"{settings.NODE_MIB - 450}Mi"
"""That the node has, but not beside another server."""
REST_SECONDS = float(os.environ.get("SLIPWAY_EDGE_REST", "300"))
ASKED_SECONDS = 60.0
AWAY_SECONDS = float(os.environ.get("SLIPWAY_EDGE_AWAY", "300"))
"""Without an API server."""
BACK_SECONDS = 120.0
GRACE_SECONDS, NOTICED_SECONDS = 70.0, 60.0
"""After 50 s without a word of the kubelet Kubernetes calls its pods not ready."""
LATE_SECONDS = 10.0
"""In which the kubelet says nothing, though it could."""
QUIET_SECONDS, DRAIN_SECONDS = 15.0, 75.0
"""After the last request that was lost, before nothing more is expected; where a pod drains."""
MOST_OWN, MOST_SHARE = 150.0, 1.0
"""Of operator, agent and Envoy together: MiB, and percent of a core at rest."""
OURS = ("slipway/operator", "router/agent", "router/envoy")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the model on the page, with the digest that brings it over the link once."""

    version: str
    uri: str
    digest: str
    memory: str | None = None
    """That its server requests; None: as on the page."""

    def manifest(self) -> Manifest:
        """Return the page's object with this version, judged in seconds instead of minutes."""
        shown: dict[str, Any] = yaml.safe_load(
            re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
        )
        source = {"uri": self.uri, "digest": self.digest}
        shown["spec"]["model"] = {"version": self.version, "source": source}
        if self.memory is not None:
            shown["spec"]["server"]["resources"]["requests"]["memory"] = self.memory
            shown["spec"]["server"]["resources"]["limits"]["memory"] = self.memory

        analysis = {"intervalSeconds": 1, "warmUpSeconds": 2, "minSamples": 30, "maxHarm": 0.5}
        shown["spec"]["rollout"] |= {
            "steps": [{"weight": 25}, {"weight": 50}],
            "bakeSeconds": 5,
            "analysis": analysis | {"tolerance": {"absolute": 0.5}},
        }
        return shown


@dataclass(slots=True)
class Edge:
    """The node, what serves on it, and the link."""

    kubectl: Kubectl
    deployed: Deployed
    link: Shelf
    files: dict[str, bytes]
    figures: Figures

    def roll_out(self, version: str, file: str, memory: str | None = None) -> HistoryEntry:
        """Apply a version and wait until it is in service, or not."""
        self.deployed.apply(self.version_of(version, file, memory))
        return self.deployed.wait_for_end(version)

    def version_of(self, version: str, file: str, memory: str | None) -> Version:
        """Return the version with the file, as the link's source has it."""
        sha256 = hashlib.sha256(self.files[file]).hexdigest()
        digest = TreeDigest((FileDigest(file, sha256, len(self.files[file])),)).digest
        return Version(version, self.link.url(f"/{file}"), digest, memory)

    def pod(self, component: str) -> Manifest:
        """Return the one pod of a component."""
        found = self.kubectl.items(NAMESPACE, "pods", f"{LABEL_COMPONENT}={component}")
        (pod,) = [each for each in found if "deletionTimestamp" not in each["metadata"]]
        return pod

    def server_processes(self) -> list[int]:
        """Return Triton's processes."""
        ((_, group),) = small_node.containers_of(self.pod(COMPONENT_SERVER))
        return small_node.pids_in(group)

    def note(self, what: str, words: str) -> None:
        """Say what was measured, at once and at the end."""
        print(f"{what}: {words}")
        self.figures.notes[what] = words


@pytest.fixture(scope="module")
def edge(figures: Figures) -> Iterator[Edge]:
    """The profile on a node of a size, with version 1 in service."""
    if not settings.NODE_MIB:
        pytest.skip("this needs a node of a size: make edge")
    kubectl = Kubectl()
    install(kubectl)
    kubectl.delete_namespace(NAMESPACE)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    split = load_split()
    network = train_network(split.training, seed=3)
    files = {
        "digits-1.onnx": export(train_regression(split.training)),
        "digits-2.onnx": widened(network, MODEL_MEGABYTES),
        "digits-3.onnx": widened(train_network(split.training, seed=4), MODEL_MEGABYTES),
    }
    served = {f"/{name}": content for name, content in files.items()}

    with ExitStack() as stack:
        stack.enter_context(cache_directory())
        link = stack.enter_context(slow_link(served, cut_after=[]))
        deployed = stack.enter_context(Deployed(kubectl, figures, NAMESPACE, NAME))
        edge = Edge(kubectl, deployed, link, files, figures)
        assert edge.roll_out("1", "digits-1.onnx").outcome is Outcome.PROMOTED
        yield edge
        kubectl.delete_namespace(NAMESPACE)


@pytest.fixture(scope="module")
def client(
    edge: Edge, samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outside]:
    """A steady load from outside the node."""
    service = edge.kubectl.get(NAMESPACE, "service", NAME)
    assert service is not None
    address = f"{service['spec']['clusterIP']}:{CLIENT_HTTP_PORT}"
    images = samples.load.round(4).tolist()
    plan = LoadPlan(address, NAME, images, rate=RATE, seconds=7200.0)
    with Outside(plan, tmp_path_factory.mktemp("client")) as client:
        yield client
        edge.figures.note_clients(f"{NAMESPACE}/{NAME}", client.total, "")


@pytest.fixture
def cut_off(edge: Edge) -> Iterator[None]:
    """Neither the source nor the registry answers."""
    there = dict(edge.link.files)
    edge.link.files.clear()
    with stopped("docker-registry"):
        yield
    edge.link.files.update(there)


def test_operator_and_router_take_little_at_rest(edge: Edge) -> None:
    before, began = small_node.read_parts(edge.kubectl), time.monotonic()
    time.sleep(REST_SECONDS)
    after, seconds = small_node.read_parts(edge.kubectl), time.monotonic() - began
    note_parts(edge, "at rest", before, after, seconds)

    ours = small_node.total(after, OURS)
    shares = small_node.share(small_node.total(before, OURS), ours, seconds)

    assert ours.own <= MOST_OWN
    assert shares <= MOST_SHARE


def test_they_take_little_while_requests_come(edge: Edge, client: Outside) -> None:
    before, began = small_node.read_parts(edge.kubectl), time.monotonic()
    with loses_nothing(client):
        time.sleep(ASKED_SECONDS)
    after, seconds = small_node.read_parts(edge.kubectl), time.monotonic() - began
    note_parts(edge, f"with {RATE:.0f} requests per second", before, after, seconds)

    assert small_node.total(after, OURS).own <= MOST_OWN


def test_a_rollout_comes_over_a_slow_link_that_breaks(edge: Edge, client: Outside) -> None:
    size = len(edge.files["digits-2.onnx"])
    edge.link.cut_after, edge.link.sent = list(CUT_AFTER), 0
    began = time.monotonic()
    with loses_nothing(client):
        ended = edge.roll_out("2", "digits-2.onnx")
    seconds = time.monotonic() - began
    note_whole(edge, "after the rollout")
    edge.note(
        "a rollout over 1 MB/s",
        f"{seconds:.1f} s, {len(CUT_AFTER)} breaks, {edge.link.sent} bytes of {size}",
    )

    assert ended.outcome is Outcome.PROMOTED
    assert not edge.link.cut_after, "the link never broke"
    assert edge.link.sent == size, "bytes came twice, or never"


@pytest.mark.usefixtures("cut_off")
def test_a_server_comes_back_without_source_and_registry(edge: Edge, client: Outside) -> None:
    edge.link.sent = 0
    moment = time.time()
    kill(edge.server_processes())
    note_gap(edge, "Triton killed, without source and registry", client, moment)

    gone, moment = edge.pod(COMPONENT_SERVER), time.time()
    delete_pod(edge)
    note_gap(edge, "its pod deleted, likewise", client, moment, DRAIN_SECONDS)

    assert edge.pod(COMPONENT_SERVER)["metadata"]["uid"] != gone["metadata"]["uid"]
    assert edge.link.sent == 0


@pytest.mark.usefixtures("cut_off")
def test_requests_need_no_api_server(edge: Edge, client: Outside) -> None:
    server = edge.server_processes()
    with stopped("kube-apiserver"):
        with loses_nothing(client):
            time.sleep(AWAY_SECONDS)
        edge.note("without an API server", f"{AWAY_SECONDS:.0f} s, no request lost")

        moment = time.time()
        kill(server)
        note_gap(edge, "Triton killed, without an API server", client, moment)
    note_gap(edge, "the API server is back", client, time.time())


def test_an_api_server_that_is_back_costs_no_request_where_the_kubelet_is_late(
    edge: Edge, client: Outside
) -> None:
    """Whether kubelet or node controller comes first is chance; here it is the controller."""
    began = time.time()
    with ExitStack() as late:
        with stopped("kube-apiserver"):
            time.sleep(GRACE_SECONDS)
            late.enter_context(stopped("kubelet"))
        until(lambda: not ready_endpoints(edge), "pods called not ready", NOTICED_SECONDS)
        moment = time.time()
        time.sleep(LATE_SECONDS)
        late.close()
        until(lambda: ready_endpoints(edge), "the pods ready again", BACK_SECONDS)

    seconds = time.time() - moment
    what = f"the API server is back, its pods called not ready for {seconds:.0f} s"
    note_gap(edge, what, client, began)
    assert not lost_since(client, began), describe_causes(client.since(began))


def test_where_there_is_no_room_the_gap_lasts_as_long_as_the_download(
    edge: Edge, client: Outside
) -> None:
    size = len(edge.files["digits-3.onnx"])
    edge.link.cut_after, edge.link.sent = list(CUT_AFTER), 0
    moment = time.time()
    ended = edge.roll_out("3", "digits-3.onnx", memory=TOO_MUCH)
    assert "Swapping" in edge.deployed.events()
    edge.note("a swap over 1 MB/s", f"{time.time() - moment:.1f} s until it was in service")
    note_gap(edge, "a swap over 1 MB/s, the gap", client, moment)

    assert ended.outcome is Outcome.PROMOTED
    assert edge.link.sent == size, "bytes came twice, or never"


def test_the_node_comes_back_from_a_power_loss_without_its_source(
    edge: Edge, client: Outside
) -> None:
    edge.link.files.clear()
    edge.link.sent = 0
    moment = time.time()
    run_module("tests.cluster", "power-loss")
    note_gap(edge, "power loss, no source", client, moment)

    assert edge.link.sent == 0


def install(kubectl: Kubectl) -> None:
    """Install the chart as the page says: with its profile, and the images of this clone."""
    kubectl.apply_server_side(restricted_namespace(helm.NAMESPACE))
    values = release.cluster_values(release.images(), None)
    given = {name: values[name] for name in ("image", "router", "server")}
    helm.run(
        *("upgrade", "--install", helm.RELEASE, str(helm.CHART)),
        *("--namespace", helm.NAMESPACE, "--wait", "--timeout", "5m"),
        *("--values", str(helm.CHART / "values-edge.yaml")),
        values=given,
        kubeconfig=release.KUBECONFIG,
    )


@contextmanager
def cache_directory() -> Iterator[None]:
    """Have the directory of the page on the node, whose disk is that of this machine."""
    shown = Version("", "", "").manifest()["spec"]["packaging"]["cache"]["hostPath"]
    path = Path(shown)
    made = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, 1000, -1)
    try:
        yield
    finally:
        if made:
            shutil.rmtree(made[-1])


@contextmanager
def stopped(program: str) -> Iterator[None]:
    """Let a daemon of this node answer nobody: its connections stay open, as on a dead link."""
    (pid,) = [
        int(entry.name)
        for entry in PROC.iterdir()
        if entry.name.isdigit() and is_daemon(entry, program)
    ]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_daemon(entry: Path, program: str) -> bool:
    """Tell whether a process is this daemon of this node."""
    try:
        words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    named = any(word.endswith(program) for word in words[:2])
    return named and any(f"{settings.STATE}/" in word for word in words)


def kill(pids: list[int]) -> None:
    """Kill processes, as the kernel does when memory runs out."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def ready_endpoints(edge: Edge) -> list[Manifest]:
    """Return the pods that EndpointSlices call ready, of server and router alike."""
    slices = edge.kubectl.items(NAMESPACE, "endpointslices")
    found = [each for one in slices for each in one.get("endpoints") or ()]
    return [each for each in found if each["conditions"]["ready"]]


def delete_pod(edge: Edge) -> None:
    """Delete Triton's pod, so that another one has to fetch the model."""
    name = edge.pod(COMPONENT_SERVER)["metadata"]["name"]
    edge.kubectl.run("delete", "pod", name, "-n", NAMESPACE, "--wait=false")


@contextmanager
def loses_nothing(client: Outside) -> Iterator[None]:
    """Fail unless every request that ends in the meantime is answered."""
    before, began = client.total, time.time()
    yield
    since = client.total.minus(before)
    assert since.sent > 0
    assert since.lost == 0, describe_causes(client.since(began))


def note_gap(
    edge: Edge, what: str, client: Outside, moment: float, quiet_seconds: float = QUIET_SECONDS
) -> None:
    """Wait until no more requests are lost after a disturbance, and note how many were."""

    def is_over() -> bool:
        last = max([int(moment), *lost_since(client, moment)])
        return client.records[-1].t > last + quiet_seconds

    until(is_over, f"answers after {what}", BACK_SECONDS)
    seconds = lost_since(client, moment)
    lost = sum(record.counts.lost for record in client.since(moment))
    words = f", the last of them after {seconds[-1] + 1 - moment:.0f} s" if seconds else ""
    edge.note(what, f"{lost} requests lost{words}")
    assert client.records[-1].counts.sent > 0


def lost_since(client: Outside, moment: float) -> list[int]:
    """Return the seconds since a moment in which requests were lost."""
    return [record.t for record in client.since(moment - 1) if record.counts.lost]


def note_parts(
    edge: Edge, when: str, before: dict[str, Usage], after: dict[str, Usage], seconds: float
) -> None:
    """Note what each part of the node takes."""
    groups = {
        "Kubernetes' control plane": CONTROL_PLANE,
        "kubelet, proxy, policies, DNS, containerd": NODE_PARTS,
        "operator, agent, Envoy": OURS,
    }

    rows = {name: (name,) for name in after} | groups
    for name, parts in rows.items():
        now = small_node.total(after, parts)
        if now == Usage():
            continue  # a control plane that is on another machine
        cpu = small_node.share(small_node.total(before, parts), now, seconds)
        edge.note(
            f"{when}, {name}",
            f"{now.own:.1f} MiB of its own, {now.files:.1f} MiB of files, {cpu:.2f}% of a core",
        )
    note_whole(edge, when)


def note_whole(edge: Edge, when: str) -> None:
    """Note what the node takes, and whether anything was killed for it."""
    whole = small_node.read_whole()
    edge.note(
        f"{when}, the node",
        f"{whole.now:.0f} MiB now, {whole.own:.0f} of them of its own, {whole.kernel:.0f} the"
        f" kernel's; {whole.peak:.0f} MiB at most, {whole.killed} killed",
    )
    assert whole.killed == 0
