"""The sample repository: it builds, fits the types, and has the script that is tested."""

import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from slipway.api.chart import values_schema
from slipway.api.modeldeployment import ModelDeploymentSpec

from tests.install.helm import ROOT
from tests.unit.gitops.argocd import SCRIPT

SAMPLES = ROOT / "manifests/samples/gitops"
KUBECTL = ROOT / ".cluster/bin/kubectl"
ENVIRONMENTS = sorted((SAMPLES / "environments").iterdir())


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.skipif(not KUBECTL.exists(), reason="kustomize comes with 'make cluster'")
@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_an_environment_builds(path: Path) -> None:
    built = subprocess.run(
        [str(KUBECTL), "kustomize", str(path)], capture_output=True, text=True, check=True
    )
    [model] = yaml.safe_load_all(built.stdout)
    assert model["kind"] == "ModelDeployment"
    assert model["metadata"]["namespace"].startswith("vision")
    spec = ModelDeploymentSpec.model_validate(model["spec"])
    assert spec.model.version in spec.model.source.uri
    assert spec.model.golden_set is not None


def test_argo_cd_gets_the_script_that_is_tested() -> None:
    [config] = documents(SAMPLES / "argocd/argocd-cm.yaml")
    [script] = config["data"].values()
    assert script == SCRIPT.read_text()


def test_tools_look_where_the_environments_are() -> None:
    [application] = documents(SAMPLES / "argocd/application.yaml")
    _, flux = documents(SAMPLES / "flux/models.yaml")
    for path in (application["spec"]["source"]["path"], flux["spec"]["path"]):
        assert (SAMPLES / path / "kustomization.yaml").exists()
    assert flux["spec"]["wait"] is True


def test_values_of_the_release_fit_the_chart() -> None:
    _, release = documents(SAMPLES / "flux/operator.yaml")
    jsonschema.validate(release["spec"]["values"], yaml.safe_load(values_schema()))
