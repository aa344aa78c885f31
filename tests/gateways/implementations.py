"""Contour and Envoy Gateway, installed with a GatewayClass and a Gateway each."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import modules
from tests.cluster.build import Program
from tests.gateways import programs
from tests.gateways.programs import CONTOUR, ENVOY_GATEWAY, GATEWAY_API, MOUNT, MOUNTED
from tests.install import helm
from tests.kubectl import Kubectl, Manifest, until

API = "gateway.networking.k8s.io/v1"
GATEWAY = "company"
"""Name of the Gateway of either implementation, in its own namespace."""
HTTP_PORT = 80
READY_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Implementation:
    """An implementation of Gateway API."""

    name: str
    program: Program
    namespace: str
    controller: str
    """As its GatewayClass names it."""
    service: str
    """Service of its data plane."""
    port: int
    """Of that Service."""
    install: Callable[[Kubectl, str], None]
    """Apply everything but the GatewayClass and the Gateway; the text is the Envoy image."""
    parameters: Manifest | None = None
    """Of the Gateway's infrastructure."""

    @property
    def host(self) -> str:
        """What clients call; also a hostname that routes may have."""
        return f"{self.service}.{self.namespace}.svc"

    def up(self, kubectl: Kubectl, envoy_image: str) -> None:
        """Install it, and wait until its Gateway is programmed."""
        kubectl.apply(_namespace(self.namespace))
        self.install(kubectl, envoy_image)
        kubectl.apply(self._class())
        self.create_gateway(kubectl)
        until(lambda: self.is_programmed(kubectl), f"Gateway of {self.name}", READY_SECONDS)

    def create_gateway(self, kubectl: Kubectl) -> None:
        """Create the Gateway that every namespace may use, and one that none other may."""
        kubectl.apply(self._gateway(GATEWAY, "All"))

    def create_private_gateway(self, kubectl: Kubectl) -> None:
        """Let nobody but the Gateway's own namespace use it from now on."""
        kubectl.apply(self._gateway(GATEWAY, "Same"))

    def delete_gateway(self, kubectl: Kubectl) -> None:
        """Delete the Gateway."""
        kubectl.run("delete", "gateways.gateway.networking.k8s.io", GATEWAY, "-n", self.namespace)

    def is_programmed(self, kubectl: Kubectl) -> bool:
        """Tell whether the Gateway runs."""
        found = kubectl.get(self.namespace, "gateways.gateway.networking.k8s.io", GATEWAY)
        conditions = (found or {}).get("status", {}).get("conditions", ())
        return any(each["type"] == "Programmed" and each["status"] == "True" for each in conditions)

    def _class(self) -> Manifest:
        return {
            "apiVersion": API,
            "kind": "GatewayClass",
            "metadata": {"name": self.name},
            "spec": {"controllerName": self.controller},
        }

    def _gateway(self, name: str, allowed: str) -> Manifest:
        listener = {
            "name": "http",
            "protocol": "HTTP",
            "port": HTTP_PORT,
            "allowedRoutes": {"namespaces": {"from": allowed}},
        }
        spec: Manifest = {"gatewayClassName": self.name, "listeners": [listener]}
        if self.parameters is not None:
            spec["infrastructure"] = {"parametersRef": self.parameters}
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": API, "kind": "Gateway", "metadata": metadata, "spec": spec}


def install_gateway_api(kubectl: Kubectl) -> None:
    """Apply the CRDs of Gateway API, of its standard channel."""
    place = modules.find_module("sigs.k8s.io/gateway-api", GATEWAY_API)
    _apply_directory(kubectl, place / "config/crd/standard")


# ── Contour ──


def _install_contour(kubectl: Kubectl, envoy_image: str) -> None:
    place = modules.find_module("github.com/projectcontour/contour", CONTOUR.version)
    examples = place / "examples/contour"
    for name in ("00-common", "01-crds", "02-rbac", "02-role-contour", "02-service-contour"):
        kubectl.apply_server_side(*_documents(examples / f"{name}.yaml"))
    namespace = _CONTOUR_NAMESPACE
    config = {"gateway": {"gatewayRef": {"name": GATEWAY, "namespace": namespace}}}
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "contour", "namespace": namespace},
            "data": {"contour.yaml": yaml.safe_dump(config)},
        },
        _contour(namespace, envoy_image),
        _contours_envoy(namespace, envoy_image),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "envoy", "namespace": namespace},
            "spec": {
                "selector": {"app": "envoy"},
                "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": 8080}],
            },
        },
    )


_CONTOUR_NAMESPACE = "projectcontour"
_OLDER_KINDS = "tlsroutes,tcproutes,backendtlspolicies"
"""Contour watches versions of these that Gateway API 1.6 no longer serves."""


def _contour(namespace: str, image: str) -> Manifest:
    config = {"name": "config", "configMap": {"name": "contour"}}
    serve = [
        f"{MOUNTED}/contour",
        "serve",
        "--incluster",
        "--insecure",  # its own connection to Envoy, on one node
        "--xds-address=0.0.0.0",
        "--xds-port=8001",
        "--config-path=/config/contour.yaml",
        "--envoy-service-name=envoy",
        *(f"--disable-feature={name}" for name in _OLDER_KINDS.split(",")),
    ]
    container = {
        "name": "contour",
        "image": image,
        "command": serve,
        "env": _POD_NAMES,
        "readinessProbe": {"tcpSocket": {"port": 8001}},
        "volumeMounts": [MOUNT, {"name": "config", "mountPath": "/config"}],
    }
    pod = {
        "serviceAccountName": "contour",
        "containers": [container],
        "volumes": [programs.volume(CONTOUR), config],
    }
    return _deployment("contour", namespace, pod)


def _contours_envoy(namespace: str, image: str) -> Manifest:
    bootstrap = [
        f"{MOUNTED}/contour",
        "bootstrap",
        "/config/envoy.json",
        "--xds-address=contour",
        "--xds-port=8001",
        "--xds-resource-version=v3",
    ]
    mounts = [{"name": "config", "mountPath": "/config"}, {"name": "admin", "mountPath": "/admin"}]
    initial = {
        "name": "bootstrap",
        "image": image,
        "command": bootstrap,
        "env": _POD_NAMES,
        "volumeMounts": [MOUNT, *mounts],
    }
    words = ["envoy", "-c", "/config/envoy.json", "--service-cluster", namespace]
    envoy = {
        "name": "envoy",
        "image": image,
        "command": [*words, "--service-node", "envoy", "--concurrency", "1"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8002}, **_PATIENT},
        "volumeMounts": mounts,
    }
    pod = {
        "automountServiceAccountToken": False,
        "initContainers": [initial],
        "containers": [envoy],
        "volumes": [
            programs.volume(CONTOUR),
            {"name": "config", "emptyDir": {}},
            {"name": "admin", "emptyDir": {}},
        ],
    }
    return _deployment("envoy", namespace, pod)


# ── Envoy Gateway ──


_ENVOY_GATEWAY_NAMESPACE = "envoy-gateway-system"
_PROXY = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "ours"}


def _install_envoy_gateway(kubectl: Kubectl, envoy_image: str) -> None:
    place = modules.find_module("github.com/envoyproxy/gateway", ENVOY_GATEWAY.version)
    _apply_directory(kubectl, place / "charts/gateway-helm/charts/crds/crds/generated")
    rendered = [_with_program(each) for each in _render_chart(place, envoy_image)]
    kubectl.apply_server_side(*rendered)
    kubectl.apply(_envoy_proxy(envoy_image))


_ALONE: Manifest = {"type": "Kubernetes", "kubernetes": {"leaderElection": {"disable": True}}}
"""One replica needs no lease, and ends where a busy API server renews it late."""
_CHART_VALUES: Manifest = {
    "crds": {"enabled": False},
    "topologyInjector": {"enabled": False},
    "config": {"envoyGateway": {"provider": _ALONE}},
}


def _render_chart(place: Path, image: str) -> Iterator[Manifest]:
    """Render the chart that the module brings; its values are a template of its build."""
    with tempfile.TemporaryDirectory() as scratch:
        chart = Path(scratch) / "gateway-helm"
        shutil.copytree(place / "charts/gateway-helm", chart)
        for path in (chart, *chart.rglob("*")):
            path.chmod(0o755)
        values = (chart / "values.tmpl.yaml").read_text()
        values = values.replace("${GatewayImagePullPolicy}", "IfNotPresent")
        (chart / "values.yaml").write_text(values.replace("${GatewayImage}", image))
        name, namespace = "eg", _ENVOY_GATEWAY_NAMESPACE
        text = helm.run(
            *("template", name, str(chart), "--namespace", namespace, "--skip-crds"),
            values=_CHART_VALUES,
        )
    yield from (each for each in yaml.safe_load_all(text) if each)


def _with_program(manifest: Manifest) -> Manifest:
    """Let the containers run the mounted program, where an image would have it."""
    pod = manifest.get("spec", {}).get("template", {}).get("spec")
    if not isinstance(pod, dict) or "containers" not in pod:
        return manifest
    for container in pod["containers"]:
        words = container.get("command") or ["envoy-gateway"]
        container["command"] = [f"{MOUNTED}/envoy-gateway", *words[1:]]
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), MOUNT]
        for probe in _PROBES:
            if probe in container:
                container[probe] |= _PATIENT
    pod["volumes"] = [*(pod.get("volumes") or ()), programs.volume(ENVOY_GATEWAY)]
    return manifest


def _envoy_proxy(image: str) -> Manifest:
    """Return how Envoy Gateway makes its data plane: our image, a Service with a known name."""
    shutdown = [f"{MOUNTED}/envoy-gateway", "envoy", "shutdown"]
    patient = dict.fromkeys(_PROBES, _PATIENT)
    manager = {
        "name": "shutdown-manager",
        "image": image,
        "command": shutdown[:1],
        "lifecycle": {"preStop": {"exec": {"command": shutdown}}},
        "volumeMounts": [MOUNT],
        **patient,
    }
    containers = [{"name": "envoy", **patient}, manager]
    pod = {"containers": containers, "volumes": [programs.volume(ENVOY_GATEWAY)]}
    patch = {"type": "StrategicMerge", "value": {"spec": {"template": {"spec": pod}}}}
    kubernetes = {
        "envoyDeployment": {"container": {"image": image}, "patch": patch},
        "envoyService": {"name": "envoy", "type": "ClusterIP"},
    }
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": _PROXY["name"], "namespace": _ENVOY_GATEWAY_NAMESPACE},
        "spec": {
            "concurrency": 1,
            "provider": {"type": "Kubernetes", "kubernetes": kubernetes},
        },
    }


IMPLEMENTATIONS = (
    Implementation(
        name="contour",
        program=CONTOUR,
        namespace=_CONTOUR_NAMESPACE,
        controller="projectcontour.io/gateway-controller",
        service="envoy",
        port=HTTP_PORT,
        install=_install_contour,
    ),
    Implementation(
        name="envoy-gateway",
        program=ENVOY_GATEWAY,
        namespace=_ENVOY_GATEWAY_NAMESPACE,
        controller="gateway.envoyproxy.io/gatewayclass-controller",
        service="envoy",
        port=HTTP_PORT,
        install=_install_envoy_gateway,
        parameters=_PROXY,
    ),
)


# ── what both need ──


_PATIENT = {"periodSeconds": 2, "timeoutSeconds": 10, "failureThreshold": 10}
"""A probe that a busy machine does not fail."""
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_POD_NAMES: list[Manifest] = [
    {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    for name, path in (
        ("CONTOUR_NAMESPACE", "metadata.namespace"),
        ("POD_NAME", "metadata.name"),
    )
]


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _deployment(name: str, namespace: str, pod: Manifest) -> Manifest:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _apply_directory(kubectl: Kubectl, place: Path) -> None:
    for path in sorted(place.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            kubectl.apply_server_side(*_documents(path))


def _documents(path: Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]
