"""The chart as Helm renders it, and kustomize's copy of it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from slipway import settings
from slipway.api.names import (
    LABEL_COMPONENT,
    LABEL_OWNER,
    LABEL_REVISION,
    LABEL_VERSION,
    MANAGED_BY,
    MANAGER,
)

from tests.install import base, helm
from tests.install.helm import ROOT, InstallError
from tests.install.kustomize import build
from tests.install.release import Images, cluster_values

pytestmark = pytest.mark.skipif(
    helm.find_helm() is None, reason="needs Helm: on PATH, or from 'make cluster'"
)

DIGEST = "sha256:" + "a" * 64
IMAGES = Images(f"registry.local/op@{DIGEST}", f"registry.local/envoy@{DIGEST}", "triton:1")
ON_THE_TEST_CLUSTER = cluster_values(IMAGES, "registry.local:5000")
OF_PEOPLE = ("slipway-view", "slipway-on-call", "slipway-approver", "slipway-owner")
EVERYTHING = {
    **ON_THE_TEST_CLUSTER,
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount": {"name": "rollouts", "annotations": {"cloud/role": "none"}},
    "commonLabels": {"cost-center": "42"},
    "podLabels": {"team": "ml"},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": {"enabled": True, "extra": [{"ports": [{"port": 9090}]}]},
    },
    "metrics": {
        "serviceAnnotations": {"prometheus.io/scrape": "true"},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "podMonitor": {"enabled": True},
        "serverMonitor": {"enabled": True},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True, "annotations": {"folder": "ml"}},
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "podAnnotations": {"note": "a note"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
}


def with_edge() -> dict[str, Any]:
    """Return the values of the edge profile, over those that every installation gives."""
    values = yaml.safe_load((helm.CHART / "values-edge.yaml").read_text())
    return {**base.VALUES, **values, "router": {**base.VALUES["router"], **values["router"]}}


NAMESPACED = {**base.VALUES, "crds": {"install": False}}
PROMETHEUS_OPERATOR = "monitoring.coreos.com/v1"


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
        pytest.param(with_edge(), id="with the edge profile"),
        pytest.param({**base.VALUES, "podDisruptionBudget": {"enabled": False}}, id="without PDB"),
    ],
)
def test_chart_renders_valid_kubernetes(values: helm.Values) -> None:
    for manifest in rendered(values):
        if manifest["apiVersion"] != PROMETHEUS_OPERATOR:
            version = kubernetes_validate.latest_version()
            kubernetes_validate.validate(manifest, version, strict=True)


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

    assert settings.load_settings(path) == settings.Settings(
        namespace=helm.NAMESPACE,
        operator_image=IMAGES.operator,
        server_image="triton:1",
        registry=settings.ImageTarget(prefix="registry.local:5000/models"),
        registries=[
            settings.RegistryAccess(host="registry.local:5000", plain_http=True, anonymous=True)
        ],
        sources=settings.SourceSettings(allow_plain_http=True),
        router=settings.RouterSettings(envoy_image=IMAGES.envoy, agent_image=IMAGES.operator),
        lease=settings.LeaseSettings(duration_seconds=5, renew_seconds=0.5, write_window_seconds=1),
        watch_namespaces=["vision"],
        workers=3,
    )


def test_a_single_replica_ends_before_its_successor_starts(tmp_path: Path) -> None:
    """Two would write at the same time, since nobody renews the Lease."""
    deployment = only("Deployment", with_edge())["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert not [one for one in rendered(with_edge()) if one["kind"] == "PodDisruptionBudget"]

    path = tmp_path / "settings.yaml"
    path.write_text(only("ConfigMap", with_edge())["data"]["settings.yaml"])
    found = settings.load_settings(path)
    assert found.lease.single_replica
    assert (found.router.replicas, found.workers, found.registry.prefix) == (1, 4, "")


def test_changed_settings_restart_the_operator() -> None:
    before, after = (
        only("Deployment", {**base.VALUES, "workers": workers})["spec"]["template"]
        for workers in (1, 2)
    )
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]


def test_named_namespaces_are_all_that_the_operator_gets() -> None:
    values = {**base.VALUES, "watchNamespaces": ["vision", "speech"]}
    roles = [one for one in rendered(values) if one["kind"].endswith(("Role", "RoleBinding"))]
    assert {(one["kind"], one["metadata"].get("namespace")) for one in roles} == {
        (kind, namespace)
        for kind in ("Role", "RoleBinding")
        for namespace in ("vision", "speech", helm.NAMESPACE)
    }


def test_a_namespaced_release_can_do_without_anything_of_the_whole_cluster() -> None:
    values = {
        **base.VALUES,
        "watchNamespaces": ["vision"],
        "crds": {"install": False},
        "admission": {"verifyRequestedBy": False},
    }
    assert not [one for one in rendered(values) if "namespace" not in one["metadata"]]


@pytest.mark.parametrize("namespaces", [[], ["vision"]], ids=["everywhere", "in one namespace"])
def test_routes_of_gateways_are_a_right_that_is_asked_for(namespaces: list[str]) -> None:
    def granted(*, enabled: bool) -> set[tuple[str, str]]:
        values = {**base.VALUES, "watchNamespaces": namespaces, "gateway": {"enabled": enabled}}
        return {
            (resource, verb)
            for one in rendered(values)
            for rule in one.get("rules") or ()
            if "gateway.networking.k8s.io" in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    routes = ("httproutes", "grpcroutes")
    reads = {(route, verb) for route in routes for verb in ("get", "list")}
    writes = {(route, verb) for route in routes for verb in ("create", "patch", "delete")}
    assert granted(enabled=False) == reads
    assert granted(enabled=True) == reads | writes | {("gateways", "get")}


def test_policies_look_where_the_operator_watches() -> None:
    admission = {"separateRights": "Deny", "twoPersons": True}
    values = {**base.VALUES, "watchNamespaces": ["a", "b"], "admission": admission}
    policies = [one for one in rendered(values) if one["kind"] == "ValidatingAdmissionPolicy"]
    names = {one["metadata"]["name"].removeprefix("slipway-slipway-system-") for one in policies}
    assert names == {"requested-by", "rights", "two-persons"}
    for policy in policies:
        [expression] = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
        assert expression["values"] == ["a", "b"]


def test_roles_that_a_policy_keeps_come_with_it_alone() -> None:
    def roles(separate_rights: str) -> set[tuple[str, str | None]]:
        admission = {"separateRights": separate_rights}
        values = {**base.VALUES, "watchNamespaces": ["a", "b"], "admission": admission}
        return {
            (one["metadata"]["name"], one["metadata"].get("namespace"))
            for one in rendered(values)
            if one["kind"] in {"Role", "ClusterRole"} and one["metadata"]["name"] in OF_PEOPLE
        }

    assert roles("Warn") == set()
    assert roles("Deny") == {(name, namespace) for name in OF_PEOPLE for namespace in ("a", "b")}


def test_a_digest_wins_over_a_tag() -> None:
    image = {"repository": "r/op", "tag": "1.2", "digest": DIGEST}
    values = {**base.VALUES, "image": image}
    [container] = only("Deployment", values)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"r/op@{DIGEST}"
    without = {**base.VALUES, "image": {"repository": "r/op", "tag": "1.2"}}
    [container] = only("Deployment", without)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "r/op:1.2"


def test_common_labels_are_on_every_object_and_on_the_pods() -> None:
    values = {**EVERYTHING, "commonLabels": {"cost-center": "42"}}
    objects = [one for one in rendered(values) if one["kind"] != "CustomResourceDefinition"]
    assert [one for one in objects if one["metadata"]["labels"].get("cost-center") != "42"] == []
    deployment = only("Deployment", values)["spec"]
    assert deployment["template"]["metadata"]["labels"]["cost-center"] == "42"
    assert "cost-center" not in deployment["selector"]["matchLabels"]


def test_two_replicas_are_spread_and_drained_one_at_a_time() -> None:
    deployment = only("Deployment", base.VALUES)["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    [spread] = deployment["template"]["spec"]["topologySpreadConstraints"]
    budget = only("PodDisruptionBudget", base.VALUES)["spec"]
    assert deployment["replicas"] == 2
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1


def test_service_policy_and_monitor_choose_the_operators_pods_alone() -> None:
    objects = {one["kind"]: one for one in rendered(EVERYTHING) if "spec" in one}
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    test_pod = objects["Pod"]["metadata"]["labels"]
    for selector in (
        objects["Service"]["spec"]["selector"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= test_pod.items()

    chosen = objects["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert chosen.items() <= objects["Service"]["metadata"]["labels"].items()

    allowed = objects["NetworkPolicy"]["spec"]["ingress"][0]["from"]
    assert allowed[-1]["podSelector"]["matchLabels"].items() <= test_pod.items()


@pytest.mark.parametrize("component", ["router", "server"])
def test_pods_are_scraped_where_the_operator_watches(component: str) -> None:
    everywhere = pod_monitor(component, EVERYTHING)
    assert everywhere["namespaceSelector"] == {"any": True}
    some = pod_monitor(component, {**EVERYTHING, "watchNamespaces": ["vision"]})
    assert some["namespaceSelector"] == {"matchNames": ["vision"]}


def test_series_of_servers_name_their_revision_and_leave_tritons_labels_alone() -> None:
    [endpoint] = pod_monitor("server", EVERYTHING)["podMetricsEndpoints"]
    added = {rule["targetLabel"]: rule["sourceLabels"] for rule in endpoint["relabelings"]}

    labels = (LABEL_OWNER, LABEL_REVISION, LABEL_VERSION)
    of_pods = [[f"__meta_kubernetes_pod_label_{re.sub('[./]', '_', label)}"] for label in labels]
    assert list(added.values()) == of_pods
    assert not {"model", "version"} & set(added)
    assert endpoint["port"] == "metrics"


def pod_monitor(component: str, values: helm.Values) -> dict[str, Any]:
    """Return the spec of the PodMonitor that selects these pods of ours."""
    monitors = [one["spec"] for one in rendered(values) if one["kind"] == "PodMonitor"]
    chosen = {MANAGED_BY: MANAGER, LABEL_COMPONENT: component}
    found: dict[str, Any] = {}
    [found] = [spec for spec in monitors if spec["selector"]["matchLabels"] == chosen]
    return found


def test_what_needs_the_prometheus_operator_is_off_unless_asked_for() -> None:
    assert PROMETHEUS_OPERATOR not in {one["apiVersion"] for one in rendered(base.VALUES)}


def test_dashboard_arrives_whole() -> None:
    maps = [one for one in rendered(EVERYTHING) if one["kind"] == "ConfigMap"]
    [data] = [one["data"] for one in maps if "dashboard" in one["metadata"]["name"]]
    assert json.loads(data["slipway.json"]) == json.loads(
        (helm.CHART / "files/dashboard.json").read_text()
    )


def test_another_operator_image_changes_nothing_but_the_operator() -> None:
    before = {key(one): one for one in rendered(base.VALUES)}
    image = {"repository": "slipway-operator", "tag": "next"}
    after = {key(one): one for one in rendered({**base.VALUES, "image": image})}
    changed = {place for place, one in after.items() if one != before[place]}
    assert changed == {
        ("Deployment", "slipway"),
        ("ConfigMap", "slipway-settings"),
        ("Pod", "slipway-test"),
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
        pytest.param(
            {**base.VALUES, "commonLabels": {"app.kubernetes.io/name": "mine"}},
            "commonLabels: found app.kubernetes.io/name",
            id="a label of the selector",
        ),
        pytest.param(
            {**base.VALUES, "podLabels": {"app.kubernetes.io/instance": "mine"}},
            "podLabels: found app.kubernetes.io/instance",
            id="a pod label of the selector",
        ),
        pytest.param(
            {**base.VALUES, "lease": {"durationSeconds": 10}},
            "lease.durationSeconds: found 10, expected more than 10",
            id="a lease that ends before a last write",
        ),
        pytest.param(
            {**base.VALUES, "lease": {"renewSeconds": 7}},
            "lease.renewSeconds: found 7, expected less than writeWindowSeconds, 7",
            id="a lease that is renewed too late",
        ),
        pytest.param(
            {**base.VALUES, "lease": {"singleReplica": True}},
            "lease.singleReplica: found true with replicas 2, expected replicas 1",
            id="one replica of two",
        ),
    ],
)
def test_chart_refuses_with_the_name_of_the_value(values: helm.Values, said: str) -> None:
    with pytest.raises(InstallError, match=said):
        helm.template(values)


def test_base_manifests_are_what_the_chart_renders() -> None:
    """`make manifests` writes them anew."""
    assert base.render() == {name: (base.BASE / name).read_text() for name in base.render()}


def test_kustomize_installs_the_same_objects_as_helm() -> None:
    built = [*build(base.BASE), *build(ROOT / "crds")]
    ours = {key(one): base.neutral(one) for one in built}
    charts = {key(one): base.neutral(one) for one in rendered(base.VALUES) if not is_test(one)}
    assert ours.pop(("Namespace", "slipway-system"))
    assert ours == charts


def test_the_overlay_builds_with_images_and_settings_that_belong_together(tmp_path: Path) -> None:
    objects = build(ROOT / "manifests/overlays/example")

    for manifest in objects:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    [deployment] = [one for one in objects if one["kind"] == "Deployment"]
    [config] = [one for one in objects if one["kind"] == "ConfigMap"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    path = tmp_path / "settings.yaml"
    path.write_text(config["data"]["settings.yaml"])
    loaded = settings.load_settings(path)

    assert container["image"] == loaded.operator_image
    assert loaded.router.envoy_image.startswith("registry.example.com/")
    assert deployment["spec"]["replicas"] == 3
    assert container["securityContext"]["readOnlyRootFilesystem"], "patched, not replaced"

    [volume] = [one for one in pod["volumes"] if one["name"] == "settings"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert {one["metadata"].get("labels", {}).get("team") for one in objects} == {"ml-platform"}


def test_another_namespace_of_an_overlay_reaches_every_object(tmp_path: Path) -> None:
    overlay = {"namespace": "elsewhere", "resources": [os.path.relpath(base.BASE, tmp_path)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = build(tmp_path)
    places = {one["metadata"].get("namespace", "elsewhere") for one in objects}
    subjects = {who["namespace"] for one in objects for who in one.get("subjects", ())}
    assert places == subjects == {"elsewhere"}


def test_releases_of_one_name_for_different_namespaces_share_no_object() -> None:
    first, second = (
        yaml.safe_load_all(
            helm.template({**NAMESPACED, "watchNamespaces": [watched]}, namespace=namespace)
        )
        for namespace, watched in (("team-a", "vision"), ("team-b", "speech"))
    )
    assert not {place(one) for one in first if one} & {place(one) for one in second if one}


def place(manifest: dict[str, Any]) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def is_test(manifest: dict[str, Any]) -> bool:
    return "helm.sh/hook" in manifest["metadata"].get("annotations", {})


def key(manifest: dict[str, Any]) -> tuple[str, str]:
    plain = base.neutral(manifest)
    return plain["kind"], plain["metadata"]["name"]
