"""What the node is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import components, config, settings
from tests.cluster.components import make_plan
from tests.cluster.layout import Layout
from tests.cluster.plan import Component, parse_plan
from tests.cluster.state import inputs

PLACES = Layout(
    state=Path("/state"),
    node_binary=Path("/cache/node"),
    pause_binary=Path("/cache/pause"),
    coredns=Path("/cache/coredns"),
    metrics_server=Path("/cache/metrics-server"),
    registry_storage=Path("/cache/registry"),
)
FILES = config.render_files(PLACES)


def parsed(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(FILES[name]))


def component(name: str) -> Component:
    stages = make_plan(PLACES).stages
    return next(one for stage in stages for one in stage.components if one.name == name)


def test_a_plan_survives_the_way_through_its_file() -> None:
    plan = make_plan(PLACES)
    assert parse_plan(plan.to_json()) == plan


def test_every_file_that_a_command_line_names_is_rendered() -> None:
    stages = make_plan(PLACES).stages
    words = [word for stage in stages for one in stage.components for word in one.command]
    prefix = PLACES.config("") + "/"
    named = {word.partition(prefix)[2] for word in words if prefix in word}

    assert named <= set(FILES)
    assert len(named) > 8


def test_the_audit_log_has_every_kind_of_write_and_nothing_else() -> None:
    rules = parsed("audit.yaml")["rules"]
    assert rules[0]["level"] == "Metadata"
    assert set(rules[0]["verbs"]) == {"create", "update", "patch", "delete", "deletecollection"}
    assert rules[1:] == [{"level": "None"}]
    assert f"--audit-log-path={PLACES.audit_log}" in component("kube-apiserver").command


def test_pods_live_in_a_cgroup_of_the_cluster_s_own() -> None:
    assert parsed("kubelet.yaml")["cgroupRoot"] == f"/{settings.CGROUP}"


def test_no_disk_pressure_evicts_a_pod_or_removes_an_image() -> None:
    kubelet = parsed("kubelet.yaml")
    assert set(kubelet["evictionHard"]) == {"memory.available"}
    assert kubelet["imageGCHighThresholdPercent"] == 100


def test_the_proxy_leaves_the_machine_s_connection_tracking_alone() -> None:
    assert parsed("proxy.yaml")["conntrack"] == {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }


def test_node_and_pods_pull_from_the_registry_under_one_name() -> None:
    assert parsed("registry.yaml")["http"]["addr"] == settings.REGISTRY
    hosts = FILES[f"certs.d/{settings.REGISTRY}/hosts.toml"]
    assert f'[host."http://{settings.REGISTRY}"]' in hosts


def test_pod_addresses_come_from_the_range_that_the_host_routes() -> None:
    bridge = json.loads(FILES["cni/10-slipway.conflist"])["plugins"][0]
    assert bridge["ipam"]["ranges"] == [[{"subnet": settings.POD_RANGE}]]
    assert parsed("proxy.yaml")["clusterCIDR"] == settings.POD_RANGE


def test_the_addons_name_no_unfilled_word() -> None:
    template = (Path(config.__file__).parent / "addons.yaml").read_text()
    objects = list(yaml.safe_load_all(config.render_addons(template, "Q0E=")))
    services = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Service"}

    assert services["kube-dns"]["spec"]["clusterIP"] == parsed("kubelet.yaml")["clusterDNS"][0]
    assert services["metrics-server"]["spec"]["ports"][0]["targetPort"] == settings.METRICS_PORT


def test_another_setting_is_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    before = inputs(PLACES, make_plan(PLACES))
    assert inputs(PLACES, make_plan(PLACES)) == before
    monkeypatch.setattr(settings, "POD_RANGE", "10.245.0.0/24")
    assert inputs(PLACES, make_plan(PLACES)) != before


@pytest.mark.parametrize(
    ("has_control_plane", "outside"),
    [
        pytest.param(True, {"registry"}, id="all of Kubernetes"),
        pytest.param(False, {"registry", *components.CONTROL_PLANE}, id="control plane elsewhere"),
    ],
)
def test_a_node_of_a_size_counts_what_it_runs_itself(
    monkeypatch: pytest.MonkeyPatch, has_control_plane: bool, outside: set[str]
) -> None:
    monkeypatch.setattr(settings, "NODE_MIB", 1024)
    monkeypatch.setattr(settings, "NODE_HAS_CONTROL_PLANE", has_control_plane)

    plan = parse_plan(make_plan(PLACES).to_json())
    daemons = {each.name: each for stage in plan.stages for each in stage.components}

    assert {name for name, each in daemons.items() if not each.groups} == outside
    assert str(PLACES.programs / "node") in daemons["kubelet"].command
    assert "metrics-server" not in daemons


def test_a_kubelet_of_a_node_of_a_size_offers_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "NODE_MIB", 1024)
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if "SIZE" in name else 2**20)

    kubelet = yaml.safe_load(config.render_files(PLACES)["kubelet.yaml"])

    assert kubelet["systemReserved"] == {"memory": "3072Mi"}
