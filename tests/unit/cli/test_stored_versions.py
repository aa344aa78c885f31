"""What a migration of stored versions asks of the API server."""

from typing import Any

from slipway.cli.stored_versions import move_owners, rewrite, storage_version_hash

OURS = "slipway.dev/v1alpha1"


def owner(manager: str, api_version: str, *names: str, operation: str = "Update") -> dict[str, Any]:
    fields: dict[str, Any] = {f"f:{name}": {} for name in names}
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "fieldsV1": {"f:spec": fields},
    }


def test_a_manager_that_wrote_by_both_versions_keeps_all_of_its_fields() -> None:
    both = [owner("ann", OURS, "model"), owner("ann", "slipway.dev/v1beta1", "paused")]
    assert move_owners(both, "v1beta1") == [owner("ann", "slipway.dev/v1beta1", "model", "paused")]


def test_managers_and_operations_stay_apart() -> None:
    owners = [owner("ann", OURS, "a"), owner("ann", OURS, "b", operation="Apply")]
    moved = move_owners([*owners, owner("flux", OURS, "c")], "v1beta1")
    assert [(it["manager"], it["operation"]) for it in moved] == [
        ("ann", "Update"),
        ("ann", "Apply"),
        ("flux", "Update"),
    ]


def test_an_object_whose_owners_are_moved_is_written_and_nothing_changed() -> None:
    owners = [owner("ann", OURS, "a")]
    manifest = {"metadata": {"resourceVersion": "7", "managedFields": owners}}
    assert [step["op"] for step in rewrite(manifest, "v1alpha1")] == ["test"]
    assert [step["op"] for step in rewrite(manifest, "v1beta1")] == ["test", "replace"]


def test_what_discovery_says_differs_by_version() -> None:
    alpha, beta = (storage_version_hash(it, "ModelRoute") for it in ("v1alpha1", "v1beta1"))
    assert alpha != beta
