"""The sample repository: it fits the chart, and has the script that is tested."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml
from slipway.api.chart import values_schema

from tests.install.helm import ROOT
from tests.unit.gitops.argocd import SCRIPT

SAMPLES = ROOT / "manifests/samples/gitops"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


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
    jsonschema.validate(release["spec"]["values"], json.loads(values_schema()))
