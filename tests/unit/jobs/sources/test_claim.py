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
from slipway.jobs.sources.access import SourceAccess, SourceMounts


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    mount = tmp_path / "claim"
    for name in ("digits/1/model.onnx", "digits/config.pbtxt", "single.onnx", "secret/key"):
        path = mount / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return mount


def fetch(mount: Path, uri: str) -> Tree:
    access = SourceAccess(SourceRequest(uri=uri), SourceMounts(mount))
    return claim.fetch_from_claim(access, mount.parent / "scratch", Backoff())


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


@pytest.mark.parametrize(
    ("target", "says"),
    [
        pytest.param("/etc/passwd", "leads out of the claim", id="out of the claim"),
        pytest.param("../../other", "leads out of the claim", id="out of the claim, relative"),
        pytest.param("../absent", "a symbolic link to nothing", id="to nothing"),
        pytest.param("odd", "symbolic link", id="to itself"),
        pytest.param(".", "to a directory, inside of another", id="to its own directory"),
        pytest.param("..", "to a directory, inside of another", id="to the directory above"),
        pytest.param(None, "'odd' is a .*pipe", id="a pipe"),
        pytest.param("../pipe", "'odd' is a .*pipe", id="a link to a pipe"),
    ],
)
def test_a_directory_with_something_else_than_files_is_refused(
    mount: Path, target: str | None, says: str
) -> None:
    (mount.parent / "other").write_text("not ours")
    os.mkfifo(mount / "pipe")
    odd = mount / "digits" / "odd"
    if target is None:
        os.mkfifo(odd)
    else:
        odd.symlink_to(target)

    with pytest.raises(JobFailure, match=says) as refused:
        fetch(mount, "pvc://models/digits")

    assert refused.value.reason == Reason.SOURCE_REFUSED


class TestLinks:
    """Those that stay inside the claim, as in a cache of Hugging Face."""

    @pytest.fixture
    def snapshot(self, mount: Path) -> str:
        cache = mount / "hub/models--org--digits"
        blobs, snapshot = cache / "blobs", cache / "snapshots/0123abcd"
        blobs.mkdir(parents=True)
        for name in ("config.pbtxt", "1/model.onnx"):
            blob = blobs / f"sha-of-{name.rpartition('/')[2].partition('.')[0]}"
            blob.write_text(name)
            link = snapshot / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
        return "hub/models--org--digits/snapshots/0123abcd"

    def test_files_have_the_names_of_the_links_and_the_digest_of_plain_files(
        self, mount: Path, snapshot: str
    ) -> None:
        tree = fetch(mount, f"pvc://models/{snapshot}")
        plain = fetch(mount, "pvc://models/digits")

        assert tree.names == plain.names == ("1/model.onnx", "config.pbtxt")
        assert tree["1/model.onnx"] == mount / "hub/models--org--digits/blobs/sha-of-model"

    def test_a_single_file_has_the_name_of_its_link(self, mount: Path, snapshot: str) -> None:
        tree = fetch(mount, f"pvc://models/{snapshot}/1/model.onnx")

        assert tree.names == ("model.onnx",)

    def test_but_a_name_that_says_something_stays(self, mount: Path) -> None:
        (mount / "current.onnx").symlink_to("single.onnx")

        assert fetch(mount, "pvc://models/current.onnx").names == ("single.onnx",)

    def test_directories_may_be_links_too(self, mount: Path) -> None:
        (mount / "linked").mkdir()
        (mount / "linked/2").symlink_to("../digits/1")
        (mount / "linked/1").symlink_to("../digits/1")

        assert fetch(mount, "pvc://models/linked").names == ("1/model.onnx", "2/model.onnx")
