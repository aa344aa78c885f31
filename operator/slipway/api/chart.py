"""Values of the chart → values.schema.json, with which Helm refuses what is unknown or wrong.

The operator's own settings come from their types; here is only what the chart adds around them.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from slipway.settings import SettingsModel, Tunables

Words = dict[str, str]
Open = dict[str, Any]
"""A piece of Kubernetes' own, which the API server checks."""
Schema = dict[str, Any]


class Image(SettingsModel):
    """The operator's image. Package and check Jobs run it too."""

    repository: Annotated[str, Field(pattern=r"^[^@\s]*$")] = ""
    """Without tag or digest."""
    tag: Annotated[str, Field(pattern=r"^[\w.-]*$")] = ""
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")] = ""
    """Wins over the tag."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"


class SecretName(SettingsModel):
    """A Secret in the release's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]


class Server(SettingsModel):
    """Triton, where a ModelDeployment names none."""

    image: Annotated[str, Field(min_length=1)] = "nvcr.io/nvidia/tritonserver:26.07-py3"


class Rbac(SettingsModel):
    """Rights of people."""

    aggregate: bool = True
    """Add to the cluster's own roles view, edit and admin."""


class ServiceAccount(SettingsModel):
    """The operator's."""

    name: str = ""
    annotations: Words = {}


class Enabled(SettingsModel):
    """Something that is there or not."""

    enabled: bool = True


class Resources(SettingsModel):
    """Of the operator's container."""

    requests: Open = {}
    limits: Open = {}


class Values(Tunables):
    """All values of the chart."""

    image: Image = Image()
    image_pull_secrets: list[SecretName] = []
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    server: Server = Server()
    secret_files: Annotated[str, Field(max_length=253)] = ""
    """A Secret whose keys the operator sees as files in /etc/slipway-secrets."""
    rbac: Rbac = Rbac()
    service_account: ServiceAccount = ServiceAccount()
    pod_disruption_budget: Enabled = Enabled()
    resources: Resources = Resources()
    pod_labels: Words = {}
    pod_annotations: Words = {}
    node_selector: Words = {}
    tolerations: list[Open] = []
    affinity: Open = {}
    priority_class_name: str = ""
    global_: Annotated[Open, Field(alias="global")] = {}
    """Helm's own, where the chart is part of another."""


def values_schema() -> str:
    """Return the text of values.schema.json."""
    raw = Values.model_json_schema(by_alias=True)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated from the types by 'make generate'; do not edit.",
        **_inlined(raw, raw.get("$defs", {})),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _inlined(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return `node` without references, titles and defaults: values.yaml has the defaults."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        node = {**definitions[node["$ref"].rsplit("/", 1)[1]], **rest}
    kept = {k: v for k, v in node.items() if k not in {"title", "$defs", "default"}}
    return {key: _child(key, value, definitions) for key, value in kept.items()}


def _child(key: str, value: Any, definitions: dict[str, Schema]) -> Any:
    if key == "properties":
        return {name: _inlined(child, definitions) for name, child in value.items()}
    if key == "anyOf":
        return [_inlined(child, definitions) for child in value]
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _inlined(value, definitions)
    return " ".join(value.split()).replace("``", "`") if key == "description" else value
