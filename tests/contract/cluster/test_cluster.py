"""What everything else here takes for granted of the cluster that `make cluster` gave."""

import json
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from slipway.api import names
from slipway.api.kinds import NETWORK_POLICY
from slipway.render.network_policies import Walls
from slipway.render.router import LABELS, RouterSpec, render_router

from tests.cluster import build, clone, image, settings
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.cluster.wait import wait_for

pytestmark = pytest.mark.cluster

PORT = 8080
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that this clone uses, seen through kubectl in one namespace."""

    description: dict[str, Any]
    namespace: str
    probe: str
    """Image of node/probe, by digest."""

    def kubectl(self, *words: str, text: str = "") -> str:
        command = self.run(*words, text=text)
        assert command.returncode == 0, f"kubectl {' '.join(words)}: {command.stderr}"
        return command.stdout

    def run(self, *words: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        directory = settings.CLONE / clone.DIRECTORY
        program = str(directory / "bin/kubectl")
        access = (f"--kubeconfig={directory / clone.KUBECONFIG}", f"--namespace={self.namespace}")
        return subprocess.run(
            [program, *access, *words], input=text, capture_output=True, text=True, check=False
        )

    def get(self, *words: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", *words, "--output=json")))

    def in_pod(self, *arguments: str) -> str:
        """Return what the probe prints, run to its end in a pod."""
        name = f"probe-{uuid.uuid4().hex[:8]}"
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump(a_pod(self, name, arguments)))
        wait_for(lambda: self.phase(name) in {"Succeeded", "Failed"}, f"pod {name} to end", 60)
        printed = self.kubectl("logs", name)
        assert self.phase(name) == "Succeeded", printed
        return printed

    def phase(self, pod: str) -> str:
        return str(self.get("pod", pod)["status"].get("phase"))


def a_pod(
    cluster: Cluster,
    name: str,
    arguments: tuple[str, ...],
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "probe",
        "image": cluster.probe,
        "args": list(arguments),
        "ports": [{"containerPort": PORT}],
        **({"readinessProbe": a_probe(arguments[1])} if arguments[:1] == ("serve",) else {}),
        "securityContext": security,
    }

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }


def a_probe(address: str) -> dict[str, Any]:
    port = int(address.removeprefix(":"))
    return {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1}


def a_policy(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return a policy that lets nobody reach the pod of this name."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"]},
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    description = clone.description(settings.CLONE)
    if description is None:
        pytest.skip("no cluster: run 'make cluster' first")
    if not description["registry"]:
        pytest.skip("this cluster has no registry")

    try:
        build.build_programs([build.PROBE], Progress())
    except ClusterError as error:
        pytest.skip(str(error))

    probe = image.image_of_binary(build.PROBE.path)
    reference = image.push_image(probe, description["registry"], "slipway/probe")
    ours = Cluster(description, f"cluster-{uuid.uuid4().hex[:8]}", reference)

    ours.kubectl("create", "namespace", ours.namespace)
    ours.kubectl("label", "namespace", ours.namespace, RESTRICTED)

    yield ours
    ours.kubectl("delete", "namespace", ours.namespace, "--wait=false")


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> str:
    """Name of a pod that answers HTTP, and of its Service."""
    name = "server"
    pod = a_pod(cluster, name, ("serve", f":{PORT}"))
    cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(pod))
    cluster.kubectl("expose", "pod", name, "--port=80", f"--target-port={PORT}")
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return name


def test_the_node_pulls_an_image_by_digest_from_the_registry(cluster: Cluster, server: str) -> None:
    status = cluster.get("pod", server)["status"]["containerStatuses"][0]
    assert status["imageID"] == cluster.probe


def test_a_service_name_resolves_in_a_pod(cluster: Cluster, server: str) -> None:
    service = cluster.get("service", server)["spec"]["clusterIP"]
    assert cluster.in_pod("resolve", server).split() == [service]


def test_a_name_outside_the_cluster_is_refused_at_once(cluster: Cluster) -> None:
    name = f"probe-{uuid.uuid4().hex[:8]}"
    pod = a_pod(cluster, name, ("resolve", "nowhere.invalid."))
    cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(pod))
    wait_for(lambda: cluster.phase(name) == "Failed", f"pod {name} to fail", 30)
    assert "no such host" in cluster.kubectl("logs", name)


def test_a_pod_reaches_a_service_by_name(cluster: Cluster, server: str) -> None:
    url = f"http://{server}.{cluster.namespace}.svc.cluster.local/"
    assert cluster.in_pod("get", url).strip() == server


def test_a_network_policy_keeps_pods_out_and_lets_the_kubelet_in(cluster: Cluster) -> None:
    name = "walled"
    text = yaml.safe_dump_all(
        [a_policy(cluster, name), a_pod(cluster, name, ("serve", f":{PORT}"))]
    )
    cluster.kubectl("apply", "-f", "-", text=text)
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    address = cluster.get("pod", name)["status"]["podIP"]

    stranger = f"probe-{uuid.uuid4().hex[:8]}"
    pod = a_pod(cluster, stranger, ("get", f"http://{address}:{PORT}/"))
    cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(pod))
    wait_for(lambda: cluster.phase(stranger) == "Failed", f"pod {stranger} to fail", 60)
    assert "imeout" in cluster.kubectl("logs", stranger)

    cluster.kubectl("delete", "networkpolicy", name)
    assert cluster.in_pod("get", f"http://{address}:{PORT}/").strip() == name


def test_slipways_policies_let_routers_and_checks_reach_a_server_and_nobody_else(
    cluster: Cluster,
) -> None:
    walls = Walls("slipway-system", frozenset({"digits"}))
    rendered = render_router(cluster.namespace, "uid", RouterSpec("a", "e", walls=walls))
    policies = [each for each in rendered if each["kind"] == NETWORK_POLICY.kind]
    for policy in policies:
        del policy["metadata"]["ownerReferences"]  # its owner is not here: it would be collected
    labels = names.common_labels("digits", names.COMPONENT_SERVER, "3f2a9c01")
    server = a_pod(cluster, "digits", ("serve", f":{names.TRITON_HTTP_PORT}"), labels)
    cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump_all([*policies, server]))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/digits", "--timeout=60s")

    url = f"http://{cluster.get('pod', 'digits')['status']['podIP']}:{names.TRITON_HTTP_PORT}/"
    callers = {
        "router": LABELS,
        "check": names.common_labels("digits", names.COMPONENT_CHECK),
        "package": names.common_labels("digits", names.COMPONENT_PACKAGE),
        "stranger": {"app": "web"},
    }
    pods = [a_pod(cluster, name, ("get", url), labels) for name, labels in callers.items()]
    cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(pods))
    ends = {"Succeeded", "Failed"}
    wait_for(lambda: {cluster.phase(name) for name in callers} <= ends, "the callers to end", 60)
    assert {name: cluster.phase(name) for name in callers} == {
        "router": "Succeeded",
        "check": "Succeeded",
        "package": "Failed",
        "stranger": "Failed",
    }


def test_a_pod_reaches_the_registry_under_the_name_that_the_node_uses(cluster: Cluster) -> None:
    printed = cluster.in_pod("get", f"http://{cluster.description['registry']}/v2/")
    assert json.loads(printed) == {}


def test_a_cluster_address_answers_the_host(cluster: Cluster, server: str) -> None:
    only_on(cluster, "single-node", "pods and Services are routed from this machine")
    service = cluster.get("service", server)["spec"]["clusterIP"]
    wait_for(lambda: get(f"http://{service}/").strip() == server, "the Service to answer", 20)


def test_a_pod_with_too_many_rights_is_refused(cluster: Cluster) -> None:
    pod = a_pod(cluster, "privileged", ())
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    refused = cluster.run("apply", "-f", "-", text=yaml.safe_dump(pod))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_a_policy_in_cel_decides_on_admission(cluster: Cluster) -> None:
    offered = cluster.kubectl("api-resources", "--api-group=admissionregistration.k8s.io")
    assert "validatingadmissionpolicies" in offered


def test_top_shows_pods_and_nodes(cluster: Cluster, server: str) -> None:
    wait_for(lambda: server in cluster.run("top", "pods").stdout, "figures of a pod", 90)
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    wait_for(lambda: node in cluster.run("top", "nodes").stdout, "figures of a node", 90)


def test_an_autoscaler_sees_the_cpu_of_a_busy_pod(cluster: Cluster) -> None:
    burner = a_pod(cluster, "burner", ("burn", "300"))
    burner["spec"]["restartPolicy"] = "Always"
    burner["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "100m"},
        "limits": {"cpu": "200m"},
    }
    template = {"metadata": {"labels": {"app": "burner"}}, "spec": burner["spec"]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "burner"},
        "spec": {"selector": {"matchLabels": {"app": "burner"}}, "template": template},
    }
    cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(deployment))
    cluster.kubectl("autoscale", "deployment", "burner", "--cpu=50%", "--min=1", "--max=2")

    def wants_two() -> bool:
        return int(cluster.get("deployment", "burner")["spec"]["replicas"]) == 2

    wait_for(wants_two, "the autoscaler to ask for a second pod", 150)
    cluster.kubectl("delete", "deployment,hpa", "burner")


def test_kubectl_and_the_server_say_their_real_version(cluster: Cluster) -> None:
    only_on(cluster, "single-node", "the versions are ours")
    said = json.loads(cluster.kubectl("version", "--output=json"))
    expected = f"v{settings.KUBERNETES}"
    assert said["clientVersion"]["gitVersion"] == expected
    assert said["serverVersion"]["gitVersion"] == expected


def test_helm_says_its_real_version() -> None:
    helm = settings.CLONE / clone.DIRECTORY / "bin/helm"
    if not helm.exists():
        pytest.skip("no cluster: run 'make cluster' first")
    said = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("v4.")


def test_every_aggregated_api_is_available(cluster: Cluster) -> None:
    services = cluster.get("apiservices")["items"]
    unavailable = [
        service["metadata"]["name"]
        for service in services
        for condition in service["status"]["conditions"]
        if condition["type"] == "Available" and condition["status"] != "True"
    ]
    assert unavailable == []


def test_the_audit_log_has_writes_and_no_reads(cluster: Cluster, server: str) -> None:
    path = cluster.description["auditLog"]

    if not path:
        pytest.skip("this cluster keeps no audit log")
    with open(path) as log:  # noqa: PTH123
        events = [json.loads(line) for line in log if cluster.namespace in line]
    created = [
        event
        for event in events
        if event["verb"] == "patch" or event["verb"] == "create"
        if event.get("objectRef", {}).get("name") == server
    ]

    assert created
    assert {event["verb"] for event in events}.isdisjoint({"get", "list", "watch"})


def only_on(cluster: Cluster, kind: str, reason: str) -> None:
    if cluster.description["kind"] != kind:
        pytest.skip(f"only on {kind}: {reason}")


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return str(answer.read().decode())
    except OSError as error:
        return str(error)
