"""Values of the chart → values.schema.json, with which Helm refuses what is unknown or wrong.

The operator's own settings come from their types; here is only what the chart adds around them.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from slipway.settings import ContainerResources, SecretName, SettingsModel, Tunables

StringMap = dict[str, str]
OpenObject = dict[str, Any]
"""A piece of Kubernetes' own, which the API server checks."""
Schema = dict[str, Any]


class Image(SettingsModel):
    """The operator's image. Package and check Jobs run it too."""

    repository: Annotated[str, Field(pattern=r"^(([^@:/\s]+(:[0-9]{1,5})?/)?[^@:\s]+)?$")] = ""
    """Without tag or digest."""
    tag: Annotated[str, Field(pattern=r"^[\w.-]*$")] = ""
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")] = ""
    """Wins over the tag."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"


class ServerValues(SettingsModel):
    """Triton, where a ModelDeployment names none."""

    image: Annotated[str, Field(min_length=1)] = "nvcr.io/nvidia/tritonserver:26.07-py3"


class Rbac(SettingsModel):
    """Rights of people."""

    aggregate: bool = True
    """Add to the cluster's own roles view, edit and admin."""


class ServiceAccount(SettingsModel):
    """The operator's."""

    name: str = ""
    annotations: StringMap = {}


class Enabled(SettingsModel):
    """Something that is there or not."""

    enabled: bool = True


class Crds(SettingsModel):
    """The CRDs, of which a cluster has one set."""

    install: bool = True


class Egress(SettingsModel):
    """Where the operator may connect to."""

    enabled: bool = False
    """Allow nothing but DNS, the API server's ports, the routers' counters, and `extra`."""
    api_server_ports: list[Annotated[int, Field(ge=1, le=65535)]] = [443, 6443]
    extra: list[OpenObject] = []
    """Further rules of a NetworkPolicy."""


class NetworkPolicy(SettingsModel):
    """Who reaches the operator."""

    enabled: bool = True
    metrics_from: list[OpenObject] = []
    """Peers of a NetworkPolicy; empty: everybody."""
    egress: Egress = Egress()


class Monitor(SettingsModel):
    """An object of the Prometheus Operator."""

    enabled: bool = False
    labels: StringMap = {}
    """By which a Prometheus finds it."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 30


class Rules(SettingsModel):
    """Alerts, for the Prometheus Operator."""

    enabled: bool = False
    labels: StringMap = {}


class Dashboard(SettingsModel):
    """A ConfigMap that Grafana's sidecar finds by its labels."""

    enabled: bool = False
    labels: StringMap = {"grafana_dashboard": "1"}
    annotations: StringMap = {}


class MetricsValues(SettingsModel):
    """What looks at the metrics."""

    service_annotations: StringMap = {}
    service_monitor: Monitor = Monitor()
    pod_monitor: Monitor = Monitor()
    """Of the routers, in all namespaces that are watched."""
    rules: Rules = Rules()
    dashboard: Dashboard = Dashboard()


class Values(Tunables):
    """All values of the chart."""

    image: Image = Image()
    image_pull_secrets: list[SecretName] = []
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    server: ServerValues = ServerValues()
    secret_files: Annotated[str, Field(max_length=253)] = ""
    """A Secret whose keys the operator sees as files in /etc/slipway-secrets."""
    crds: Crds = Crds()
    rbac: Rbac = Rbac()
    service_account: ServiceAccount = ServiceAccount()
    pod_disruption_budget: Enabled = Enabled()
    network_policy: NetworkPolicy = NetworkPolicy()
    metrics: MetricsValues = MetricsValues()
    common_labels: StringMap = {}
    resources: ContainerResources = ContainerResources()
    pod_labels: StringMap = {}
    pod_annotations: StringMap = {}
    node_selector: StringMap = {}
    tolerations: list[OpenObject] = []
    affinity: OpenObject = {}
    topology_spread_constraints: list[OpenObject] = []
    priority_class_name: str = ""
    global_: Annotated[OpenObject, Field(alias="global")] = {}
    """Helm's own, where the chart is part of another."""


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
    """Return `node` without references, titles and defaults: values.yaml has the defaults."""
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
