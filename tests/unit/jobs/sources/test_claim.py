import io
import os
import tarfile
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.http import Backoff
from slipway.jobs.sources import claim


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    mount = tmp_path / "claim"
    for name in ("digits/1/model.onnx", "digits/config.pbtxt", "single.onnx", "secret/key"):
        path = mount / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return mount


def fetch(mount: Path, uri: str) -> Tree:
    return claim.fetch_from_claim(
        SourceRequest(uri=uri), mount.parent / "scratch", mount, Backoff()
    )


def test_a_directory_is_read_where_it_lies(mount: Path) -> None:
    tree = fetch(mount, "pvc://models/digits/")

    assert tree.names == ("1/model.onnx", "config.pbtxt")
    assert tree["1/model.onnx"] == mount / "digits/1/model.onnx"
    assert not tree.is_private


def test_a_file_is_one_model_file(mount: Path) -> None:
    assert fetch(mount, "pvc://models/single.onnx").names == ("single.onnx",)


def test_an_archive_is_unpacked_beside_the_claim(mount: Path) -> None:
    with tarfile.open(mount / "m.tar", "w") as tar:
        info = tarfile.TarInfo("top/model.onnx")
        tar.addfile(info, io.BytesIO())

    tree = fetch(mount, "pvc://models/m.tar")

    assert tree.names == ("model.onnx",)
    assert tree["model.onnx"].is_relative_to(mount.parent / "scratch")


def test_what_the_file_system_left_at_the_top_is_skipped(tmp_path: Path) -> None:
    mount = tmp_path / "claim"
    (mount / "lost+found").mkdir(parents=True)
    (mount / "lost+found" / "orphan").write_text("x")
    (mount / "model.onnx").write_text("x")

    assert fetch(mount, "pvc://models/").names == ("model.onnx",)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("pvc://models/absent.onnx", Reason.SOURCE_NOT_FOUND, id="absent"),
        pytest.param("pvc://models/../other", Reason.SOURCE_REFUSED, id="climbs out"),
        pytest.param("pvc://models/%2e%2e/other", Reason.SOURCE_REFUSED, id="climbs out, quoted"),
    ],
)
def test_a_wrong_path_is_refused(mount: Path, uri: str, reason: Reason) -> None:
    (mount.parent / "other").write_text("not ours")

    with pytest.raises(JobFailure) as refused:
        fetch(mount, uri)

    assert refused.value.reason == reason


def test_a_link_out_of_the_claim_is_refused(mount: Path) -> None:
    (mount.parent / "other").write_text("not ours")
    (mount / "link").symlink_to(mount.parent / "other")

    with pytest.raises(JobFailure, match="leads out of the claim"):
        fetch(mount, "pvc://models/link")


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_directory_with_something_else_than_files_is_refused(mount: Path, kind: str) -> None:
    odd = mount / "digits" / "odd"
    if kind == "link":
        odd.symlink_to(mount / "secret/key")
    else:
        os.mkfifo(odd)

    with pytest.raises(JobFailure, match=f"'odd' is a .*{kind}") as refused:
        fetch(mount, "pvc://models/digits")

    assert refused.value.reason == Reason.SOURCE_REFUSED
