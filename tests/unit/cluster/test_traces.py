"""What a cluster leaves on a machine, and how it is told from what others own."""

import json
from pathlib import Path

import pytest

from tests.cluster import clone, mountpoints, settings
from tests.cluster.leftovers import mounts_below
from tests.cluster.network import Route, overlapping
from tests.cluster.owner import Owner, load_owner
from tests.cluster.process import ProcessIdentity

ACCESS = clone.Access(
    kind="single-node",
    kubeconfig="keys",
    kubectl=Path("/cache/kubectl"),
    helm=Path("/cache/helm"),
    registry="registry:5000",
    details={"node": "one"},
)


def test_only_mounts_of_the_cluster_are_found_and_the_deepest_come_first() -> None:
    points = ["/", "/state", "/state/kubelet/pods/a", "/state/kubelet", "/statesmen/b"]
    mountinfo = "".join(f"36 35 98:0 / {point} rw - ext4 /dev/x rw\n" for point in points)
    want = ["/state/kubelet/pods/a", "/state/kubelet", "/state"]
    assert mounts_below(mountinfo, Path("/state")) == want


@pytest.mark.parametrize(
    ("route", "taken"),
    [
        pytest.param(Route("default", "eth0"), False, id="the default route is everybody's"),
        pytest.param(Route("192.0.2.0/24", "eth0"), False, id="another network"),
        pytest.param(Route("10.96.3.0/24", "tun0"), True, id="a part of the Service range"),
        pytest.param(Route("10.0.0.0/8", "tun0"), True, id="a network around ours"),
        pytest.param(Route("10.250.0.1", "eth0"), True, id="a single address of the link"),
        pytest.param(
            Route("10.244.0.0/24", settings.HOST_LINK), False, id="a route of a cluster of ours"
        ),
    ],
)
def test_a_route_that_is_in_the_way_is_found(route: Route, taken: bool) -> None:
    assert (overlapping([route]) == route) is taken


def test_the_record_of_the_owner_survives_the_way_through_its_file(tmp_path: Path) -> None:
    init = ProcessIdentity(pid=7, started=8, boot="b")
    record = Owner("/clone", "digest", init=init).used_by("/other").used_by("/other")
    record.save(tmp_path / "owner.json")

    assert load_owner(tmp_path / "owner.json") == record
    assert record.users == ("/other",)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"clone": "/a"}'])
def test_a_record_cut_short_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "owner.json"
    path.write_text(text)
    assert load_owner(path) is None


def test_no_record_is_no_owner(tmp_path: Path) -> None:
    assert load_owner(tmp_path / "owner.json") is None


def test_a_clone_gets_a_secret_kubeconfig_links_and_a_description(tmp_path: Path) -> None:
    kubeconfig = clone.publish(tmp_path, ACCESS)
    assert kubeconfig.read_text() == "keys"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".cluster/bin/kubectl").readlink() == ACCESS.kubectl
    assert json.loads((tmp_path / ".cluster/cluster.json").read_text()) == {
        "kind": "single-node",
        "registry": "registry:5000",
        "node": "one",
    }


def test_a_clone_forgets_what_was_published_and_nothing_else(tmp_path: Path) -> None:
    clone.publish(tmp_path, ACCESS)
    kept = tmp_path / ".cluster/notes"
    kept.write_text("mine")
    clone.forget(tmp_path)

    assert list((tmp_path / ".cluster").iterdir()) == [kept]

    kept.unlink()
    clone.forget(tmp_path)
    assert not (tmp_path / ".cluster").exists()


def test_only_mount_points_that_we_made_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, made, used = tmp_path / "before", tmp_path / "made", tmp_path / "used"
    monkeypatch.setattr(settings, "MOUNT_POINTS", (before, made, used))
    monkeypatch.setattr(settings, "STATE", tmp_path / "slipway-cluster")
    before.mkdir()
    mountpoints.make()
    (used / "file").touch()

    assert mountpoints.remove()
    assert before.exists()
    assert not made.exists()
    assert [path.name for path in used.iterdir()] == ["file"]
    assert not mountpoints.remove()


def test_mount_points_stay_while_another_cluster_of_the_machine_has_mounts_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = tmp_path / "made", tmp_path / "slipway-cluster2"
    monkeypatch.setattr(settings, "MOUNT_POINTS", (made,))
    monkeypatch.setattr(settings, "STATE", tmp_path / "slipway-cluster")
    other.mkdir()
    mountpoints.make()

    assert not mountpoints.remove()
    assert made.exists()

    other.rmdir()
    assert mountpoints.remove()
    assert not made.exists()
