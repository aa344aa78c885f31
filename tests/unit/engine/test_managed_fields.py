"""Whether others touched what is ours."""

import copy

from slipway.api.base import Manifest
from slipway.engine.managed_fields import hash_owned_fields

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
