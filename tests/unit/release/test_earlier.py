"""What users of an earlier release wrote, out of what a test of this one writes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.install.earlier import ITS_CRD, Earlier, keep_known

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        pytest.param({"properties": {"a": TEXT}}, {"a": "x"}, id="a field that is not named goes"),
        pytest.param(
            {"additionalProperties": TEXT}, {"a": "x", "b": "y"}, id="any name of a map stays"
        ),
        pytest.param(
            {"x-kubernetes-preserve-unknown-fields": True},
            {"a": "x", "b": "y"},
            id="where nothing is pruned, nothing goes",
        ),
        pytest.param({}, {}, id="an object without fields has none"),
    ],
)
def test_fields_are_kept_as_the_api_server_keeps_them(
    schema: dict[str, Any], kept: dict[str, str]
) -> None:
    assert keep_known({"a": "x", "b": "y"}, schema) == kept


def test_items_of_lists_are_looked_at_too() -> None:
    schema = {"items": {"properties": {"weight": {"type": "integer"}}}}

    assert keep_known([{"weight": 5, "new": 1}], schema) == [{"weight": 5}]


def test_a_model_is_written_in_the_version_and_the_fields_that_a_release_serves(
    tmp_path: Path,
) -> None:
    root = {"properties": {"spec": {"properties": {"paused": {"type": "boolean"}}}}}
    old = {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": root}}
    gone = {"name": "v1alpha0", "served": False, "schema": {"openAPIV3Schema": {}}}
    crd = {"spec": {"group": "slipway.dev", "versions": [gone, old]}}
    (tmp_path / ITS_CRD).parent.mkdir()
    (tmp_path / ITS_CRD).write_text(yaml.safe_dump(crd))
    earlier = Earlier("e939215", "2026-11-22", tmp_path)

    model = {
        "apiVersion": "slipway.dev/v1beta1",
        "metadata": {"name": "digits"},
        "spec": {"paused": True, "new": {}},
    }

    assert earlier.versions == ["v1alpha1"]
    assert earlier.known(model, "v1alpha1") == {
        "apiVersion": "slipway.dev/v1alpha1",
        "metadata": {"name": "digits"},
        "spec": {"paused": True},
    }
