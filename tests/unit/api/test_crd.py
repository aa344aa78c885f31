"""The CRDs: structural, bounded, and with the rules that no schema can say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from slipway.api.crd import (
    CRD_SOURCES,
    CrdSource,
    custom_resource_definition,
    object_schema,
    without_descriptions,
)
from slipway.api.structural_schema import structural_schema

Schema = dict[str, Any]
UNBOUNDED = {"apiVersion", "kind"}
"""The API server's own fields."""

each = pytest.mark.parametrize("resource", CRD_SOURCES, ids=lambda resource: resource.kind)


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


def is_ours(path: str) -> bool:
    return path.lstrip(".").split(".")[0] not in UNBOUNDED


@each
def test_every_node_is_structural(resource: CrdSource) -> None:
    for path, node in nodes(object_schema(resource)):
        assert not node.keys() & {"$ref", "title", "allOf", "oneOf", "$defs", "const"}, path
        if node.get("x-kubernetes-int-or-string"):
            continue
        assert "anyOf" not in node, path
        assert isinstance(node.get("type"), str), path


@each
def test_every_string_has_a_maximum(resource: CrdSource) -> None:
    for path, node in nodes(object_schema(resource)):
        if node.get("type") == "string" and is_ours(path) and "enum" not in node:
            assert "maxLength" in node, path


@each
def test_every_list_and_map_has_a_maximum(resource: CrdSource) -> None:
    for path, node in nodes(object_schema(resource)):
        if node.get("type") == "array":
            assert "maxItems" in node, path
            assert "x-kubernetes-list-type" in node, path
        if isinstance(node.get("additionalProperties"), dict):
            assert "maxProperties" in node, path
        if node.get("x-kubernetes-preserve-unknown-fields"):
            assert "maxProperties" in node, path


@each
def test_a_list_that_an_apply_may_empty_is_not_required(resource: CrdSource) -> None:
    for path, node in nodes(object_schema(resource)):
        for name in node.get("required", ()):
            child = node["properties"][name]
            is_merged = child.get("x-kubernetes-list-type") in {"map", "set"}
            may_be_empty = not child.get("minItems")
            assert not (is_merged and may_be_empty), f"{path}.{name} is null once it is emptied"


def test_a_map_that_a_proxy_may_empty_is_written_as_a_whole() -> None:
    [route] = [resource for resource in CRD_SOURCES if resource.kind == "ModelRoute"]
    schema = object_schema(route)
    proxies = [
        (path, node)
        for path, node in nodes(schema["properties"]["status"])
        if isinstance(node.get("additionalProperties"), dict)
    ]
    assert [path for path, _ in proxies] == [".proxies[].effectiveWeights"]
    for path, node in proxies:
        assert node.get("x-kubernetes-map-type") == "atomic", f"{path} is null once it is emptied"


@each
def test_every_number_of_users_has_bounds(resource: CrdSource) -> None:
    for path, node in nodes(object_schema(resource)):
        if node.get("type") in {"integer", "number"} and path.startswith(".spec"):
            if path.endswith("tolerationSeconds"):  # Kubernetes' own field, which may be negative
                continue
            assert {"minimum", "maximum"} <= node.keys(), path


def rules(path: str) -> list[str]:
    kind, _, wanted = path.partition(".")
    [resource] = [item for item in CRD_SOURCES if item.kind == kind]
    for found, node in nodes(object_schema(resource)):
        if found.lstrip(".") == wanted:
            return [rule["message"] for rule in node.get("x-kubernetes-validations", ())]
    raise AssertionError(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("ModelDeployment.", "must not end in '-candidate'"),
        ("ModelDeployment.", "is immutable"),
        ("ModelDeployment.spec.rollout", "weights must increase"),
        ("ModelDeployment.spec.rollout", "BlueGreen and Recreate switch once: remove steps"),
        ("ModelDeployment.spec.rollout", "BlueGreen and Recreate leave no share on stable"),
        ("ModelDeployment.spec.rollout", "approval is for the one switch"),
        ("ModelDeployment.spec.rollout", "Recreate never runs two revisions at once"),
        ("ModelDeployment.spec.rollout", "so that neither can swap them one at a time"),
        ("ModelDeployment.spec", "which engine None leaves to you"),
        ("ModelDeployment.spec", "which KEDA may move too"),
        ("ModelDeployment.spec.model.source", "uri must start with"),
        ("ModelDeployment.spec.model.goldenSet", "must not contain '..'"),
        ("ModelRoute.spec", "weights must sum to 100"),
    ],
)
def test_what_no_schema_can_say_is_a_rule(path: str, words: str) -> None:
    assert any(words in message for message in rules(path))


@pytest.mark.parametrize("part", ["model", "packaging", "server"])
def test_nothing_that_makes_a_revision_has_a_default(part: str) -> None:
    """A default is applied on read, so a changed one would roll out every model anew."""
    [resource] = [item for item in CRD_SOURCES if item.kind == "ModelDeployment"]
    schema = object_schema(resource)["properties"]["spec"]["properties"][part]
    for path, node in nodes(schema, part):
        if ".goldenSet" not in path and ".env[]" not in path:
            assert "default" not in node, path


def test_exclusive_bounds_are_those_of_openapi() -> None:
    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    expected = {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1}

    assert structural_schema(schema, {}) == expected


def test_a_list_with_one_owner_is_stored_as_it_was_written() -> None:
    """With defaults inside it would differ from its YAML, and a second tool would conflict."""
    [resource] = [item for item in CRD_SOURCES if item.kind == "ModelDeployment"]
    spec = object_schema(resource)["properties"]["spec"]
    inside = [
        path for path, node in nodes(spec, "spec") if ".steps[]." in path and "default" in node
    ]

    assert inside == []


LARGEST_ANNOTATIONS = 262_144
"""Bytes of an object's annotations, of which a client-side apply needs one for the whole object."""


def versions_of(resource: CrdSource) -> tuple[Schema, Schema]:
    """Return v1beta1 and v1alpha1."""
    by_name = {one["name"]: one for one in custom_resource_definition(resource)["spec"]["versions"]}
    assert list(by_name) == ["v1beta1", "v1alpha1"]
    return by_name["v1beta1"], by_name["v1alpha1"]


def without_names_and_words(version: Schema) -> Schema:
    own = {"name", "storage", "deprecated", "deprecationWarning"}
    schema = without_descriptions(version["schema"]["openAPIV3Schema"])
    return {**{key: it for key, it in version.items() if key not in own}, "schema": schema}


@each
def test_both_versions_are_one_api(resource: CrdSource) -> None:
    """No webhook converts: the API server renames objects, so all else must be equal."""
    assert custom_resource_definition(resource)["spec"]["conversion"] == {"strategy": "None"}
    beta, alpha = versions_of(resource)
    assert without_names_and_words(beta) == without_names_and_words(alpha)
    assert beta["served"]
    assert alpha["served"]


@each
def test_an_upgrade_leaves_what_is_stored(resource: CrdSource) -> None:
    beta, alpha = versions_of(resource)
    assert (beta["storage"], alpha["storage"]) == (False, True)


@each
def test_who_writes_the_old_version_is_told_the_new_one(resource: CrdSource) -> None:
    beta, alpha = versions_of(resource)
    assert "deprecated" not in beta
    assert alpha["deprecated"]
    assert "write slipway.dev/v1beta1" in alpha["deprecationWarning"]
    assert len(alpha["deprecationWarning"]) < 256, "the API server takes no more"


@each
def test_explanations_are_gone_and_fields_of_that_name_are_not(resource: CrdSource) -> None:
    _, alpha = versions_of(resource)
    described = [
        path for path, it in nodes(alpha["schema"]["openAPIV3Schema"]) if "description" in it
    ]
    assert described == []
    field = {
        "type": "object",
        "properties": {"description": {"type": "string", "description": "x"}},
    }
    assert without_descriptions(field)["properties"] == {"description": {"type": "string"}}


@each
def test_a_client_side_apply_finds_room_for_its_annotation(resource: CrdSource) -> None:
    text = json.dumps(custom_resource_definition(resource), separators=(",", ":"))
    assert len(text.encode()) < LARGEST_ANNOTATIONS - 20_000
