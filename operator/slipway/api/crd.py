"""Types → CRDs, the chart's copy of them and its schema, docs/api.md and docs/reasons.md.

``python -m slipway.api.crd <root>`` writes them.

A CRD wants a structural schema, which is stricter than JSON Schema: no ``$ref``, no ``title``, no
``anyOf`` with null, one ``type`` on every node. This module rewrites pydantic's schema into one.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from slipway.api import chart, modeldeployment, modelroute
from slipway.api.base import ApiModel
from slipway.api.names import GROUP, VERSION
from slipway.api.reasons_page import render_reasons

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CrdSource:
    """One CRD."""

    kind: str
    plural: str
    short: str
    model: type[ApiModel]
    rules: list[Any]
    spec_rules: list[Any]
    columns: list[dict[str, Any]]
    scale: dict[str, str] | None = None
    """The scale subresource; None: without one."""
    fresh: dict[str, Any] = field(default_factory=dict)
    """Additions to the schema of the status."""


KEEP_ANNOTATIONS = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}
"""With a CRD all of its objects go, and with ModelDeployments all models: no tool deletes one."""

UNOBSERVED_STATUS: dict[str, Any] = {"default": {"observedGeneration": -1}}
"""An object that nobody has looked at yet is in progress: kstatus, and with it Helm and Flux, takes
one without a status for done."""


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
        fresh=UNOBSERVED_STATUS,
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


def structural_schema(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return `node` as a structural schema."""
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    if "allOf" in node and len(node["allOf"]) == 1:
        inner = node["allOf"][0]
        node = {**inner, **{key: value for key, value in node.items() if key != "allOf"}}
        return structural_schema(node, definitions)
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        options = [option for option in node["anyOf"] if option.get("type") != "null"]
        [only] = options
        rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        if node.get("default") is not None:
            rest["default"] = node["default"]
        return structural_schema({**only, **rest}, definitions)
    node = _with_openapi_bounds(node)
    return {
        key: _structural_child(key, value, definitions)
        for key, value in node.items()
        if not _is_dropped(key, value)
    }


def _with_openapi_bounds(node: Schema) -> Schema:
    """Write exclusive bounds as OpenAPI 3.0 does: a number, and a flag beside it."""
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if flag in node and not isinstance(node[flag], bool):
            node = {**node, bound: node[flag], flag: True}
    return node


def _is_dropped(key: str, value: object) -> bool:
    return (
        key in {"title", "$defs"}
        or (key == "additionalProperties" and isinstance(value, bool))
        or (key == "default" and value is None)
    )


def _structural_child(key: str, value: object, definitions: dict[str, Schema]) -> object:
    if key == "properties":
        properties = cast("dict[str, Schema]", value)
        return {name: structural_schema(child, definitions) for name, child in properties.items()}
    if key in {"items", "additionalProperties"}:
        return structural_schema(cast("Schema", value), definitions)
    if key == "description":
        return " ".join(str(value).split())
    if key == "default":
        return _drop_nulls(value)
    return value


def _drop_nulls(value: object) -> object:
    """Drop what is absent from a default: the API server takes no null for an object."""
    if isinstance(value, dict):
        return {name: _drop_nulls(child) for name, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_drop_nulls(child) for child in value]
    return value


def object_schema(resource: CrdSource) -> Schema:
    """Return the schema of the whole object: spec and status from the types."""
    raw = resource.model.model_json_schema(by_alias=True, mode="validation")
    definitions = raw.get("$defs", {})
    spec = structural_schema(raw["properties"]["spec"], definitions)
    status = structural_schema(raw["properties"]["status"], definitions)
    status.pop("default", None)
    spec = _drop_defaults_in_atomic_lists(spec)
    if resource.spec_rules:
        spec["x-kubernetes-validations"] = resource.spec_rules
    schema: Schema = {
        "type": "object",
        "description": " ".join((resource.model.__doc__ or "").split()),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {**_drop_status_defaults(status), **resource.fresh},
        },
    }
    if resource.rules:
        schema["x-kubernetes-validations"] = resource.rules
    return schema


def _drop_defaults_in_atomic_lists(node: Schema) -> Schema:
    """Drop defaults inside lists that have one owner as a whole: the types fill them on read.

    Stored with defaults, such a list differs from the YAML that it came from, and a second tool
    that applies the same YAML gets a conflict.
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
    """Drop defaults and requirements of a status: its writer is one program, and old ones stay."""
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


def custom_resource_definition(resource: CrdSource) -> Schema:
    """Return the CRD manifest."""
    scale = {"scale": resource.scale} if resource.scale is not None else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}", "annotations": dict(KEEP_ANNOTATIONS)},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short],
                "categories": ["slipway"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}, **scale},
                    "additionalPrinterColumns": resource.columns,
                    "schema": {"openAPIV3Schema": object_schema(resource)},
                }
            ],
        },
    }


def _type_name(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    kind = str(schema.get("type", "object"))
    if kind == "array":
        return f"list of {_type_name(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map to {_type_name(schema['additionalProperties'])}"
    return kind


def _limits(schema: Schema) -> str:
    words = []
    if "enum" in schema:
        words.append(" \\| ".join(f"`{value}`" for value in schema["enum"]))
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '')}..{schema.get('maximum', '')}")
    for key, word in (("maxLength", "characters"), ("maxItems", "items")):
        if key in schema:
            words.append(f"at most {schema[key]} {word}")
    if "pattern" in schema:
        pattern = str(schema["pattern"]).replace("|", "\\|")
        words.append(f"`{pattern}`")
    return ", ".join(words)


NOT_SPREAD_OUT = frozenset(
    {"spec.server.pod.affinity", "spec.server.pod.topologySpreadConstraints"}
)
"""Kubernetes' own types, which its reference explains."""


def _rows(path: str, schema: Schema) -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        must = " **required**" if name in schema.get("required", []) else ""
        text = f"{child.get('description', '')}{_default(child)}".replace("|", "\\|")
        yield f"| `{here}` | {_type_name(child)}{must} | {_limits(child)} | {text} |"
        if here in NOT_SPREAD_OUT:
            continue
        inner = child["items"] if child.get("type") == "array" else child
        suffix = "[]" if child.get("type") == "array" else ""
        yield from _rows(here + suffix, inner)


def _default(schema: Schema) -> str:
    """Return the default as YAML writes it; the fields of an object say their own."""
    value = schema.get("default")
    if isinstance(value, dict) or value in ("", [], None):
        return ""

    if isinstance(value, list):
        required = schema["items"].get("required", [])
        value = [{key: entry[key] for key in required} for entry in value]
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f" Default `{text}`."


def reference() -> str:
    """Return docs/api.md."""
    lines = [
        "# API reference",
        "",
        "Generated from the types by `make generate`; do not edit.",
        "",
    ]
    for resource in CRD_SOURCES:
        schema = object_schema(resource)
        lines += [f"## {resource.kind}", "", schema["description"], ""]
        for part in ("spec", "status"):
            lines += [f"### {resource.kind} {part}", ""]
            lines += ["| field | type | limits | meaning |", "|---|---|---|---|"]
            lines += _rows(part, schema["properties"][part])
            lines.append("")
        rules = [*resource.rules, *resource.spec_rules]
        if rules:
            lines += ["Also checked by the API server:", ""]
            lines += [f"* {rule['message']}" for rule in rules]
            lines.append("")
    return "\n".join(lines)


HEADER = "# Generated from the types by `make generate`; do not edit.\n"


def write_generated_files(root: Path) -> None:
    """Write crds/, the chart's copy and schema, and the generated pages below `root`."""
    charts = root / "charts/slipway/templates/crds"
    for directory in (root / "crds", charts, root / "docs"):
        directory.mkdir(parents=True, exist_ok=True)
    for resource in CRD_SOURCES:
        manifest = custom_resource_definition(resource)
        name = f"{GROUP}_{resource.plural}.yaml"
        (root / "crds" / name).write_text(HEADER + _dump_yaml(manifest))
        manifest["metadata"]["annotations"]["helm.sh/resource-policy"] = "keep"
        text = HEADER + _dump_yaml(manifest).replace("{{", "{{ `{{` }}")
        (charts / name).write_text("{{- if .Values.crds.install }}\n" + text + "{{- end }}\n")
    (root / "docs/api.md").write_text(reference())
    (root / "docs/reasons.md").write_text(render_reasons())
    (root / "charts/slipway/values.schema.json").write_text(chart.values_schema())


class _Plain(yaml.SafeDumper):
    """Writes a repeated value out again: anchors are for machines."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _dump_yaml(manifest: Schema) -> str:
    return yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    write_generated_files(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
