"""CustomResourceDefinitions, made from the types."""

from dataclasses import dataclass, field
from typing import Any

from slipway.api import modeldeployment, modelroute
from slipway.api.base import ApiModel
from slipway.api.names import API_VERSION, DEPRECATED_VERSION, GROUP, VERSION
from slipway.api.structural_schema import Schema, structural_schema


@dataclass(frozen=True, slots=True)
class CrdSource:
    """What a CRD is made from."""

    kind: str
    plural: str
    short: str
    model: type[ApiModel]
    rules: list[Any]
    spec_rules: list[Any]
    columns: list[dict[str, Any]]
    scale: dict[str, str] | None = None
    """The scale subresource; None where the kind has none."""
    status_extras: dict[str, Any] = field(default_factory=dict)
    """Additions to the schema of the status."""


KEEP_ANNOTATIONS = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""Deleting a CRD deletes its objects, and with them all models: no tool may prune one."""

UNOBSERVED_STATUS: dict[str, Any] = {"default": {"observedGeneration": -1}}
"""A new object is in progress, not done: kstatus, and with it Helm and Flux, would take an object
without a status for finished."""


def printer_column(
    name: str, path: str, *, kind: str = "string", wide: bool = False
) -> dict[str, Any]:
    """Return a column of ``kubectl get``; `wide` ones show with ``-o wide`` only."""
    entry: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if wide:
        entry["priority"] = 1
    return entry


CRD_SOURCES = (
    CrdSource(
        kind=modeldeployment.KIND,
        plural=modeldeployment.PLURAL,
        short="md",
        model=modeldeployment.ModelDeployment,
        rules=modeldeployment.ROOT_RULES,
        spec_rules=[],
        columns=[
            printer_column("Stable", ".status.stable.version"),
            printer_column("Candidate", ".status.candidate.version"),
            printer_column("Weight", ".status.candidate.weight", kind="integer"),
            printer_column("Stage", ".status.rollout.stage"),
            printer_column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            printer_column("Why", '.status.conditions[?(@.type=="Ready")].message'),
            printer_column("Revision", ".status.stable.revision", wide=True),
            printer_column("Image", ".status.stable.image", wide=True),
            printer_column("Age", ".metadata.creationTimestamp", kind="date"),
        ],
        scale={
            "specReplicasPath": ".spec.scaling.replicas",
            "statusReplicasPath": ".status.stable.readyReplicas",
            "labelSelectorPath": ".status.stable.selector",
        },
        status_extras=UNOBSERVED_STATUS,
    ),
    CrdSource(
        kind=modelroute.KIND,
        plural=modelroute.PLURAL,
        short="mr",
        model=modelroute.ModelRoute,
        rules=[],
        spec_rules=modelroute.RULES,
        columns=[
            printer_column("Port", ".spec.port", kind="integer"),
            printer_column("Revisions", ".spec.backends[*].revision"),
            printer_column("Weights", ".spec.backends[*].weight"),
            printer_column("Proxies", ".status.proxies[*].name", wide=True),
            printer_column("Age", ".metadata.creationTimestamp", kind="date"),
        ],
    ),
)


def object_schema(source: CrdSource) -> Schema:
    """Return the schema of the whole object: spec and status from the types."""
    raw = source.model.model_json_schema(by_alias=True, mode="validation")
    definitions = raw.get("$defs", {})

    spec = structural_schema(raw["properties"]["spec"], definitions)
    spec = _drop_defaults_in_atomic_lists(spec)
    if source.spec_rules:
        spec["x-kubernetes-validations"] = source.spec_rules

    status = structural_schema(raw["properties"]["status"], definitions)
    status = {**_drop_status_defaults(status), **source.status_extras}

    schema: Schema = {
        "type": "object",
        "description": " ".join((source.model.__doc__ or "").split()),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    if source.rules:
        schema["x-kubernetes-validations"] = source.rules
    return schema


def _drop_defaults_in_atomic_lists(node: Schema) -> Schema:
    """Drop defaults inside lists that have one owner as a whole: the types fill them in on read.

    Stored with defaults, such a list would differ from the YAML that it came from, and a second
    tool that applies the same YAML would get a conflict.
    """
    slim = dict(node)
    if "properties" in slim:
        slim["properties"] = {
            name: _drop_defaults_in_atomic_lists(child)
            for name, child in slim["properties"].items()
        }

    if "items" in slim:
        is_map = slim.get("x-kubernetes-list-type") == "map"
        slim["items"] = (
            _drop_defaults_in_atomic_lists(slim["items"])
            if is_map
            else _drop_defaults(slim["items"])
        )

    return slim


def _drop_defaults(node: Schema) -> Schema:
    slim = {key: value for key, value in node.items() if key != "default"}
    if "items" in slim:
        slim["items"] = _drop_defaults(slim["items"])
    if "properties" in slim:
        slim["properties"] = {
            name: _drop_defaults(child) for name, child in slim["properties"].items()
        }
    return slim


def _drop_status_defaults(node: Schema) -> Schema:
    """Drop defaults and requirements: a status written by an older operator must stay valid."""
    slim = {key: value for key, value in node.items() if key not in {"default", "required"}}
    if "x-kubernetes-list-map-keys" in slim:
        required = slim["x-kubernetes-list-map-keys"]
        slim["items"] = {**_drop_status_defaults(slim["items"]), "required": required}
    elif "items" in slim:
        slim["items"] = _drop_status_defaults(slim["items"])

    if "properties" in slim:
        slim["properties"] = {
            name: _drop_status_defaults(child) for name, child in slim["properties"].items()
        }
    return slim


def custom_resource_definition(source: CrdSource) -> Schema:
    """Return the CRD manifest."""
    names = {
        "kind": source.kind,
        "listKind": f"{source.kind}List",
        "plural": source.plural,
        "singular": source.kind.lower(),
        "shortNames": [source.short],
        "categories": ["slipway"],
    }
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": names,
        "conversion": {"strategy": "None"},
        "versions": _versions(source),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{source.plural}.{GROUP}", "annotations": dict(KEEP_ANNOTATIONS)},
        "spec": spec,
    }


def _versions(source: CrdSource) -> list[dict[str, Any]]:
    """Return both versions, equal in all that counts: the API server renames objects, no more.

    What is stored stays, so that the release before this one may come back.
    """
    scale = {"scale": source.scale} if source.scale is not None else {}
    schema = object_schema(source)
    common = {"subresources": {"status": {}, **scale}, "additionalPrinterColumns": source.columns}
    warning = f"{GROUP}/{DEPRECATED_VERSION} {source.kind} is deprecated: write {API_VERSION}; "
    return [
        {
            "name": VERSION,
            "served": True,
            "storage": False,
            **common,
            "schema": {"openAPIV3Schema": schema},
        },
        {
            "name": DEPRECATED_VERSION,
            "served": True,
            "storage": True,
            "deprecated": True,
            "deprecationWarning": warning + "nothing else changes",
            **common,
            "schema": {"openAPIV3Schema": without_descriptions(schema)},
        },
    ]


def without_descriptions(schema: Schema) -> Schema:
    """Return a schema without its explanations, so that two fit in one annotation of kubectl's."""
    slim = {key: value for key, value in schema.items() if key != "description"}
    if "properties" in slim:
        slim["properties"] = {
            name: without_descriptions(child) for name, child in slim["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(slim.get(key), dict):
            slim[key] = without_descriptions(slim[key])
    return slim
