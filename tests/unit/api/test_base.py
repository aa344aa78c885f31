"""Models that are kept: as small as they can be, and still themselves."""

from slipway.api.base import share_field_sets
from slipway.api.modeldeployment import ModelDeployment

from tests.bench.asked import MODELS


def a_model(name: str) -> ModelDeployment:
    manifest = MODELS.manifest(name, "vision")
    manifest["metadata"] |= {"uid": name, "resourceVersion": "1", "generation": 1}
    return ModelDeployment.model_validate(manifest)


def test_models_with_the_same_fields_given_share_the_set_of_them() -> None:
    one, other = share_field_sets(a_model("one")), share_field_sets(a_model("other"))

    assert one.spec.model_fields_set is other.spec.model_fields_set
    assert one.spec.model.source.model_fields_set is other.spec.model.source.model_fields_set


def test_a_compacted_model_is_equal_and_its_changed_copy_leaves_it_alone() -> None:
    model = share_field_sets(a_model("one"))

    assert model == a_model("one")
    assert model.wire() == a_model("one").wire()
    before = set(model.spec.model_fields_set)
    changed = model.spec.model_copy(update={"paused": True})
    assert "paused" in changed.model_fields_set
    assert model.spec.model_fields_set == before
