"""Whether others touched what is ours."""

import copy

import pytest
from slipway.api.base import Manifest
from slipway.engine.managed_fields import hash_owned_fields, owns_all_fields

LIVE: Manifest = {
    "metadata": {
        "managedFields": [
            {
                "manager": "slipway",
                "operation": "Apply",
                "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}},
            },
            {"manager": "slipway", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
            {
                "manager": "slipway",
                "operation": "Apply",
                "subresource": "status",
                "fieldsV1": {"f:status": {}},
            },
        ]
    }
}


def test_the_time_of_the_last_apply_and_other_entries_do_not_count() -> None:
    changed = copy.deepcopy(LIVE)
    changed["metadata"]["managedFields"][0]["time"] = "2027-01-01T00:00:00Z"
    changed["metadata"]["managedFields"][1]["fieldsV1"] = {"f:other": {}}
    changed["metadata"]["managedFields"].append({"manager": "hpa", "operation": "Update"})

    assert hash_owned_fields(changed, "slipway") == hash_owned_fields(LIVE, "slipway")


def test_a_field_that_another_took_over_counts() -> None:
    changed = copy.deepcopy(LIVE)
    del changed["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:paused"]
    assert hash_owned_fields(changed, "slipway") != hash_owned_fields(LIVE, "slipway")


def test_an_annotation_that_we_set_in_other_ways_too_does_not_count() -> None:
    changed = copy.deepcopy(LIVE)
    fields = changed["metadata"]["managedFields"][0]["fieldsV1"]
    annotations = fields.setdefault("f:metadata", {}).setdefault("f:annotations", {})
    before = hash_owned_fields(changed, "slipway", ignored_annotation="epoch")
    annotations["f:epoch"] = {}

    assert hash_owned_fields(changed, "slipway", ignored_annotation="epoch") == before
    assert hash_owned_fields(changed, "slipway") != before


def test_an_object_that_we_never_applied_has_no_hash() -> None:
    assert hash_owned_fields({"metadata": {}}, "slipway") is None
    assert hash_owned_fields(LIVE, "someone-else") is None


APPLIED: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "digits",
        "namespace": "vision",
        "labels": {"app": "digits"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "digits", "uid": "u-1"}],
    },
    "spec": {
        "selector": {"matchLabels": {"app": "digits"}},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "triton",
                        "image": "triton:1",
                        "args": ["--x"],
                        "resources": {"requests": {"cpu": "1000m"}, "limits": {}},
                        "ports": [{"containerPort": 8000, "name": "http"}],
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "nodeSelector": {},
            }
        },
    },
}


def owned_by_us() -> Manifest:
    """Return what an API server (1.31) notes of the manifest above."""
    container: Manifest = {
        ".": {},
        "f:args": {},
        "f:image": {},
        "f:name": {},
        "f:ports": {
            'k:{"containerPort":8000,"protocol":"TCP"}': {
                ".": {},
                "f:containerPort": {},
                "f:name": {},
            }
        },
        "f:resources": {"f:requests": {"f:cpu": {}}},
    }
    fields: Manifest = {
        "f:metadata": {
            "f:labels": {"f:app": {}},
            "f:ownerReferences": {'k:{"uid":"u-1"}': {}},
        },
        "f:spec": {
            "f:selector": {},
            "f:template": {
                "f:spec": {
                    "f:containers": {'k:{"name":"triton"}': container},
                    "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
                }
            },
        },
    }
    entry = {"manager": "slipway", "operation": "Apply", "fieldsV1": fields}
    return {"metadata": {"managedFields": [entry]}}


TAKEN = {
    "a label": ("f:metadata", "f:labels", "f:app"),
    "the owner": ("f:metadata", "f:ownerReferences", 'k:{"uid":"u-1"}'),
    "the selector": ("f:spec", "f:selector"),
    "a volume": ("f:spec", "f:template", "f:spec", "f:volumes", 'k:{"name":"tmp"}'),
    "a container": ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"triton"}'),
}
CONTAINER = TAKEN["a container"]
TAKEN |= {
    "an image": (*CONTAINER, "f:image"),
    "arguments": (*CONTAINER, "f:args"),
    "a quantity": (*CONTAINER, "f:resources", "f:requests", "f:cpu"),
    "a port": (*CONTAINER, "f:ports", 'k:{"containerPort":8000,"protocol":"TCP"}'),
}


def test_an_object_that_nobody_touched_has_all_that_was_applied() -> None:
    assert owns_all_fields(owned_by_us(), "slipway", APPLIED)
    assert not owns_all_fields(owned_by_us(), "somebody", APPLIED)


@pytest.mark.parametrize("what", TAKEN)
def test_a_field_that_others_took_or_removed_is_missing(what: str) -> None:
    live = owned_by_us()
    *above, last = TAKEN[what]
    node = live["metadata"]["managedFields"][0]["fieldsV1"]
    for key in above:
        node = node[key]
    siblings = {key for key in node if key not in {last, "."}}
    del node[last]
    if not siblings:  # a map of which nothing is owned is not in the set either
        node["f:of-others"] = {}

    assert not owns_all_fields(live, "slipway", APPLIED)


def test_the_items_of_a_set_are_known_by_their_values() -> None:
    live: Manifest = {
        "metadata": {
            "managedFields": [
                {
                    "manager": "slipway",
                    "operation": "Apply",
                    "fieldsV1": {"f:metadata": {"f:finalizers": {'v:"a"': {}, 'v:"b"': {}}}},
                }
            ]
        }
    }

    assert owns_all_fields(live, "slipway", {"metadata": {"finalizers": ["b", "a"]}})
    assert not owns_all_fields(live, "slipway", {"metadata": {"finalizers": ["c"]}})
