from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from slipway import settings
from slipway.api.modeldeployment import ModelDeploymentSpec
from slipway.policy.action_grammar import VERBS
from slipway.settings import ADDRESS_VARIABLE, NAMESPACE_VARIABLE

from tests.install.base import BASE
from tests.install.helm import ROOT

NOT_OBJECTS = {"kustomization.yaml", "settings.yaml"}
OBJECT_FILES = [
    path
    for directory in (BASE, ROOT / "crds")
    for path in sorted(directory.glob("*.yaml"))
    if path.name not in NOT_OBJECTS
]
SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))


@pytest.mark.parametrize("path", OBJECT_FILES, ids=lambda path: path.name)
def test_manifests_are_valid_kubernetes(path: Path) -> None:
    for manifest in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_settings_in_the_manifests_are_the_operators_defaults() -> None:
    loaded = settings.load_settings(BASE / "settings.yaml")
    images = {"operator_image": loaded.operator_image, "router": loaded.router}

    assert loaded == settings.Settings(**images)
    assert loaded.router.model_copy(update={"envoy_image": ""}) == settings.RouterSettings()


def test_no_deletion_of_the_operator_deletes_the_crds_and_with_them_all_models() -> None:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]

    assert not [entry for entry in listed if "crds" in entry]
    for path in (ROOT / "crds").glob("slipway.dev_*.yaml"):
        annotations = yaml.safe_load(path.read_text())["metadata"]["annotations"]
        assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"


def test_who_may_edit_may_scale_and_who_may_view_may_look() -> None:
    rights = {
        (role["metadata"]["name"], rule["resources"][0]): rule["verbs"]
        for role in yaml.safe_load_all((BASE / "people.yaml").read_text())
        for rule in role["rules"]
    }

    assert rights["slipway-edit", "modeldeployments/scale"] == ["get", "update", "patch"]
    assert rights["slipway-view", "modeldeployments/scale"] == ["get"]


def test_who_could_edit_before_has_every_right_of_its_own() -> None:
    """Else an upgrade would warn, or refuse, where nothing was wrong before."""
    [edit] = [
        role
        for role in yaml.safe_load_all((BASE / "people.yaml").read_text())
        if role["metadata"]["name"] == "slipway-edit"
    ]
    granted = {
        (verb, resource)
        for rule in edit["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needed = {("create", f"modeldeployments/{verb}") for verb in VERBS}
    assert granted >= needed | {("update", "modeldeployments/spec")}


def test_a_missing_right_is_a_warning_until_somebody_wants_more() -> None:
    bindings = {
        one["metadata"]["name"]: one["spec"]["validationActions"]
        for one in yaml.safe_load_all((BASE / "admission.yaml").read_text())
        if one["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bindings["slipway-rights"] == ["Warn", "Audit"]
    assert bindings["slipway-requested-by"] == ["Deny"]
    assert "slipway-two-persons" not in bindings


def test_the_operator_is_told_its_namespace_and_its_address() -> None:
    deployment = yaml.safe_load((BASE / "deployment.yaml").read_text())
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("valueFrom") for one in container["env"]}

    assert told[NAMESPACE_VARIABLE] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert told[ADDRESS_VARIABLE] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_the_overlay_needs_no_more_nodes_than_replicas() -> None:
    """Its upgrades start a pod beside the old ones."""
    overlay = ROOT / "manifests/overlays/example/kustomization.yaml"
    [patch] = yaml.safe_load(overlay.read_text())["patches"]
    pod = yaml.safe_load(patch["patch"])["spec"]["template"]["spec"]

    assert list(pod["affinity"]["podAntiAffinity"]) == [
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert "priorityClassName" not in pod, "some clouds refuse system classes elsewhere"


def test_operator_pod_is_locked_down() -> None:
    deployment = yaml.safe_load((BASE / "deployment.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_fit_the_types(path: Path) -> None:
    sample = yaml.safe_load(path.read_text())

    assert sample["apiVersion"] == "slipway.dev/v1beta1"
    assert sample["kind"] == "ModelDeployment"
    spec = ModelDeploymentSpec.model_validate(sample["spec"])
    assert unknown(sample["spec"], spec.wire()) == []


def test_smallest_sample_has_six_lines_at_most() -> None:
    text = (ROOT / "manifests/samples/minimal.yaml").read_text()
    assert len(text.splitlines()) <= 6


def unknown(given: dict[str, Any], understood: dict[str, Any], path: str = "spec") -> list[str]:
    """Return the fields that the types ignored, since the API server would refuse them."""
    found: list[str] = []
    for name, value in given.items():
        here = f"{path}.{name}"
        if name not in understood:
            found.append(here)
        elif isinstance(value, dict):
            found += unknown(value, understood[name], here)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one, other in zip(value, understood[name], strict=True):
                found += unknown(one, other, f"{here}[]")
    return found
