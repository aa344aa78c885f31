"""What follows from a spec is read once for the passes that follow one another."""

from typing import Any

import pytest
from slipway.api.modeldeployment import ModelDeployment
from slipway.reconcile.read_spec import REMEMBERED, SpecReader

from tests.builders import a_model_deployment
from tests.unit.reconcile.world import SETTINGS


def asked(uid: str = "one", generation: int = 1, version: str = "1") -> ModelDeployment:
    md = a_model_deployment(version)
    metadata = md.metadata.model_copy(update={"uid": uid, "generation": generation})
    return md.model_copy(update={"metadata": metadata})


@pytest.fixture
def reader() -> SpecReader:
    return SpecReader(SETTINGS)


def test_a_spec_that_stays_is_read_once(reader: SpecReader) -> None:
    assert reader.read(asked()) is reader.read(asked())


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"version": "2", "generation": 2}, id="by a user"),
        pytest.param({"version": "2"}, id="by a default of another CRD"),
        pytest.param({"uid": "two", "version": "2"}, id="by another object of the name"),
        pytest.param({"generation": 2}, id="into what Python calls equal"),
    ],
)
def test_a_spec_that_changed_is_read_again(reader: SpecReader, changed: dict[str, Any]) -> None:
    before = reader.read(asked())

    after = reader.read(asked(**changed))

    assert after is not before
    assert (after.inputs == before.inputs) == ("version" not in changed)


def test_only_the_last_specs_are_remembered(reader: SpecReader) -> None:
    first = reader.read(asked())
    for number in range(REMEMBERED):
        reader.read(asked(uid=str(number)))

    assert reader.read(asked()) is not first
