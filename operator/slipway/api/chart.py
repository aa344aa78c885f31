"""The chart's values, from which values.schema.json is generated: Helm refuses all others.

The operator's settings have their own types; here is what the chart adds to them.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from slipway.settings import ContainerResources, SecretName, SettingsModel, Tunables

StringMap = dict[str, str]
OpenObject = dict[str, Any]
"""A type of Kubernetes, which the API server checks."""
Schema = dict[str, Any]


class Image(SettingsModel):
    """The operator's image, which package and check Jobs also run."""

    repository: Annotated[str, Field(pattern=r"^(([^@:/\s]+(:[0-9]{1,5})?/)?[^@:\s]+)?$")] = ""
    """Name of the image, without tag or digest."""
    tag: Annotated[str, Field(pattern=r"^[\w.-]*$")] = ""
    """Tag. Default: the chart's appVersion."""
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")] = ""
    """Digest; overrides the tag."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"


class ServerValues(SettingsModel):
    """Triton, for ModelDeployments that name no image."""

    image: Annotated[str, Field(min_length=1)] = "nvcr.io/nvidia/tritonserver:26.07-py3"
    """Image of Triton."""


class Rbac(SettingsModel):
    """Rights of people."""

    aggregate: bool = True
    """Extend the cluster's own roles view, edit and admin to ModelDeployments."""


class GatewayRights(SettingsModel):
    """Routes of Gateway API."""

    enabled: bool = False
    """Let the operator write HTTPRoutes and GRPCRoutes, and read Gateways, for `traffic.gateway`.
    Whoever may write ModelDeployments then publishes models under any hostname that a Gateway lets
    their namespace have."""


class ServiceAccount(SettingsModel):
    """The operator's ServiceAccount."""

    name: str = ""
    """Name. Default: the release's name."""
    annotations: StringMap = {}


class Enabled(SettingsModel):
    """An object that can be left out."""

    enabled: bool = True


class Crds(SettingsModel):
    """The CRDs, of which a cluster has one set."""

    install: bool = True
    """Install and upgrade the CRDs with the release."""
    storage_version: Literal["", "v1alpha1", "v1beta1"] = ""
    """Version in which the API server stores objects. Default: what the cluster has, else
    v1alpha1. A release that lacks it cannot come back while objects are stored so."""


class Egress(SettingsModel):
    """Where the operator may connect to."""

    enabled: bool = False
    """Allow only DNS, the API server's ports, the routers' counters, and `extra`."""
    api_server_ports: list[Annotated[int, Field(ge=1, le=65535)]] = [443, 6443]
    """Ports of the API server."""
    extra: list[OpenObject] = []
    """Further egress rules of a NetworkPolicy."""


class NetworkPolicy(SettingsModel):
    """Which pods may connect to the operator."""

    enabled: bool = True
    """Allow connections only to the port for probes and metrics."""
    metrics_from: list[OpenObject] = []
    """Peers of a NetworkPolicy that may read metrics; empty: all."""
    egress: Egress = Egress()


class Monitor(SettingsModel):
    """A ServiceMonitor or PodMonitor of the Prometheus Operator."""

    enabled: bool = False
    labels: StringMap = {}
    """Labels by which a Prometheus selects it."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """Seconds between scrapes."""


class Rules(SettingsModel):
    """Alerts, for the Prometheus Operator."""

    enabled: bool = False
    labels: StringMap = {}
    """Labels by which a Prometheus selects them."""


class Dashboard(SettingsModel):
    """A Grafana dashboard in a ConfigMap."""

    enabled: bool = False
    labels: StringMap = {"grafana_dashboard": "1"}
    """Labels by which Grafana's sidecar finds it."""
    annotations: StringMap = {}


class MetricsValues(SettingsModel):
    """What reads the metrics."""

    service_annotations: StringMap = {}
    """Annotations of the operator's Service."""
    service_monitor: Monitor = Monitor()
    """Scrapes the operator."""
    pod_monitor: Monitor = Monitor()
    """Scrapes the routers in all watched namespaces."""
    server_monitor: Monitor = Monitor()
    """Scrapes the servers of all models there, with model, revision and version as labels."""
    rules: Rules = Rules()
    dashboard: Dashboard = Dashboard()


class Values(Tunables):
    """All values of the chart."""

    image: Image = Image()
    image_pull_secrets: list[SecretName] = []
    """Secrets for pulling the operator's image."""
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    """Operator pods."""
    server: ServerValues = ServerValues()
    secret_files: Annotated[str, Field(max_length=253)] = ""
    """Secret that is mounted in the operator at /etc/slipway-secrets."""
    crds: Crds = Crds()
    rbac: Rbac = Rbac()
    gateway: GatewayRights = GatewayRights()
    service_account: ServiceAccount = ServiceAccount()
    pod_disruption_budget: Enabled = Enabled()
    network_policy: NetworkPolicy = NetworkPolicy()
    metrics: MetricsValues = MetricsValues()
    common_labels: StringMap = {}
    """Labels of every object of the release."""
    resources: ContainerResources = ContainerResources()
    pod_labels: StringMap = {}
    """Labels of the operator's pods."""
    pod_annotations: StringMap = {}
    """Annotations of the operator's pods."""
    node_selector: StringMap = {}
    """Labels that the operator's node must have."""
    tolerations: list[OpenObject] = []
    """Taints that the operator tolerates."""
    affinity: OpenObject = {}
    """Affinity of the operator's pods."""
    topology_spread_constraints: list[OpenObject] = []
    """Topology spread of the operator's pods. Default: over nodes, where possible."""
    priority_class_name: str = ""
    """PriorityClass of the operator's pods."""
    global_values: Annotated[OpenObject, Field(alias="global")] = {}
    """Helm's own, for a chart that is part of another one."""


def values_schema() -> str:
    """Return the text of values.schema.json."""
    raw = Values.model_json_schema(by_alias=True)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated from the types by 'make generate'; do not edit.",
        **_inline_references(raw, raw.get("$defs", {})),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _inline_references(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return `node` without references, titles and defaults, which values.yaml has."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        node = {**definitions[node["$ref"].rsplit("/", 1)[1]], **rest}
    kept = {k: v for k, v in node.items() if k not in {"title", "$defs", "default"}}
    return {key: _inline_child(key, value, definitions) for key, value in kept.items()}


def _inline_child(key: str, value: Any, definitions: dict[str, Schema]) -> Any:
    if key == "properties":
        return {name: _inline_references(child, definitions) for name, child in value.items()}
    if key == "anyOf":
        return [_inline_references(child, definitions) for child in value]
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _inline_references(value, definitions)
    return " ".join(value.split()).replace("``", "`") if key == "description" else value
