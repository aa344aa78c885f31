"""The sample repository as kustomize builds it."""

from pathlib import Path

import pytest
from slipway.api.modeldeployment import ModelDeploymentSpec

from tests.install.helm import ROOT
from tests.install.kustomize import build

ENVIRONMENTS = sorted((ROOT / "manifests/samples/gitops/environments").iterdir())


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_an_environment_builds(path: Path) -> None:
    [model] = build(path)
    assert model["kind"] == "ModelDeployment"
    assert model["metadata"]["namespace"].startswith("vision")

    spec = ModelDeploymentSpec.model_validate(model["spec"])
    assert spec.model.version in spec.model.source.uri
    assert spec.model.golden_set is not None
