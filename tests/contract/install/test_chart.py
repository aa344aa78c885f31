"""The chart as Helm renders it, and kustomize's copy of it."""

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from slipway import settings

from tests.install import base, helm
from tests.install.helm import ROOT, InstallError
from tests.install.release import Images, cluster_values

pytestmark = pytest.mark.skipif(
    helm.find_helm() is None, reason="needs Helm: on PATH, or from 'make cluster'"
)

DIGEST = "sha256:" + "a" * 64
IMAGES = Images(f"registry.local/op@{DIGEST}", f"registry.local/envoy@{DIGEST}", "triton:1")
ON_THE_TEST_CLUSTER = cluster_values(IMAGES, "registry.local:5000")
EVERYTHING = {
    **ON_THE_TEST_CLUSTER,
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount": {"name": "rollouts", "annotations": {"cloud/role": "none"}},
    "podLabels": {"team": "ml"},
    "podAnnotations": {"note": "a note"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
}


def rendered(values: helm.Values) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(helm.template(values)) if one is not None]


def only(kind: str, values: helm.Values) -> dict[str, Any]:
    [found] = [one for one in rendered(values) if one["kind"] == kind]
    return found


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(base.VALUES, id="with defaults"),
        pytest.param(EVERYTHING, id="with every value set"),
        pytest.param({**base.VALUES, "watchNamespaces": ["a", "b"]}, id="for two namespaces"),
        pytest.param({**base.VALUES, "podDisruptionBudget": {"enabled": False}}, id="without PDB"),
    ],
)
def test_chart_renders_valid_kubernetes(values: helm.Values) -> None:
    for manifest in rendered(values):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_chart_passes_helms_own_lint() -> None:
    helm.run("lint", str(helm.CHART), "--strict", values=base.VALUES)


def test_settings_arrive_as_given(tmp_path: Path) -> None:
    values = {
        **ON_THE_TEST_CLUSTER,
        "watchNamespaces": ["vision"],
        "lease": {"durationSeconds": 5, "renewSeconds": 0.5, "writeWindowSeconds": 1},
        "workers": 3,
    }
    path = tmp_path / "settings.yaml"
    path.write_text(only("ConfigMap", values)["data"]["settings.yaml"])
    assert settings.load(path) == settings.Settings(
        namespace=helm.NAMESPACE,
        operator_image=IMAGES.operator,
        server_image="triton:1",
        registry=settings.Target(prefix="registry.local:5000/models"),
        registries=[settings.Registry(host="registry.local:5000", plain_http=True, anonymous=True)],
        sources=settings.Sources(allow_plain_http=True),
        router=settings.Router(envoy_image=IMAGES.envoy, agent_image=IMAGES.operator),
        lease=settings.Lease(duration_seconds=5, renew_seconds=0.5, write_window_seconds=1),
        watch_namespaces=["vision"],
        workers=3,
    )


def test_changed_settings_restart_the_operator() -> None:
    before, after = (
        only("Deployment", {**base.VALUES, "workers": workers})["spec"]["template"]
        for workers in (1, 2)
    )
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]


def test_named_namespaces_are_all_that_the_operator_gets() -> None:
    values = {**base.VALUES, "watchNamespaces": ["vision"], "rbac": {"aggregate": False}}
    roles = [one for one in rendered(values) if one["kind"] in {"Role", "ClusterRole"}]
    assert {(one["kind"], one["metadata"]["namespace"]) for one in roles} == {
        ("Role", "vision"),
        ("Role", helm.NAMESPACE),
    }


def test_uninstalling_keeps_the_crds() -> None:
    crds = [one for one in rendered(base.VALUES) if one["kind"] == "CustomResourceDefinition"]
    assert len(crds) == 2
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({}, "image.repository", id="no operator image"),
        pytest.param({"image": {"repository": "op"}}, "router.envoyImage", id="no Envoy image"),
        pytest.param({**base.VALUES, "workerz": 3}, "workerz", id="a misspelt value"),
    ],
)
def test_chart_refuses_with_the_name_of_the_value(values: helm.Values, said: str) -> None:
    with pytest.raises(InstallError, match=said):
        helm.template(values)


def test_base_manifests_are_what_the_chart_renders() -> None:
    """`make manifests` writes them anew."""
    assert base.render() == {name: (base.BASE / name).read_text() for name in base.render()}


def test_kustomize_installs_the_same_objects_as_helm() -> None:
    built = subprocess.run(
        [*kustomize(), str(base.BASE)], capture_output=True, text=True, check=True
    )
    ours = {key(one): base.neutral(one) for one in yaml.safe_load_all(built.stdout)}
    charts = {key(one): base.neutral(one) for one in rendered(base.VALUES)}
    assert ours.pop(("Namespace", "slipway-system"))
    assert ours == charts


def kustomize() -> list[str]:
    ours = ROOT / ".cluster/bin/kubectl"
    return [str(ours if ours.exists() else "kubectl"), "kustomize"]


def key(manifest: dict[str, Any]) -> tuple[str, str]:
    plain = base.neutral(manifest)
    return plain["kind"], plain["metadata"]["name"]
