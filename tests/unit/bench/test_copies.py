"""A copy of a namespace is what the operator would have made there."""

import json
from typing import Any

from slipway.api import names
from slipway.api.kinds import SERVICE
from slipway.reconcile.projections import hash_manifest

from tests.bench.copies import Copies

UID = "11111111-2222-3333-4444-555555555555"


def applied(space: str, uid: str) -> dict[str, Any]:
    owner = {"uid": uid, "kind": "ModelDeployment"}
    return SERVICE.manifest(space, "digits", metadata={"ownerReferences": [owner]})


def test_a_copy_has_its_own_uid_and_the_hash_of_what_would_be_applied_there() -> None:
    manifest = applied("full-00000", UID)
    marks = {"uid": UID, "annotations": {names.ANNOTATION_HASH: hash_manifest(manifest)}}
    stored = {**manifest, "metadata": {**manifest["metadata"], **marks}}
    key = "/registry/services/specs/full-{}/digits"
    copies = Copies(
        "full-00000", {key.format("00000"): json.dumps(stored)}, {hash_manifest(manifest): manifest}
    )

    copied = copies.copy("full-00001")

    assert [*copied] == [key.format("00001")]
    metadata = json.loads(copied[key.format("00001")])["metadata"]
    assert metadata["uid"] != UID
    assert metadata["ownerReferences"][0]["uid"] == metadata["uid"]
    expected = hash_manifest(applied("full-00001", metadata["uid"]))
    assert metadata["annotations"] == {names.ANNOTATION_HASH: expected}
