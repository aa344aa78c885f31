import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.package.layer import Layer, LayerFile, make_layer, make_text_file


def layer_of(folder: Path, data: bytes = b"w" * 3_000_000) -> Layer:
    path = folder / "weights"
    path.write_bytes(data)
    return make_layer(
        [
            make_text_file("models/digits/config.pbtxt", 'backend: "onnxruntime"\n'),
            LayerFile(
                "models/digits/1/model.onnx", path, len(data), hashlib.sha256(data).hexdigest()
            ),
        ]
    )


def content(layer: Layer) -> bytes:
    return b"".join(layer.chunks(0))


def test_the_layer_is_a_tar_without_owners_or_times(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content(layer_of(tmp_path)))) as tar:
        members = tar.getmembers()

    assert [member.name for member in members] == [
        "models",
        "models/digits",
        "models/digits/1",
        "models/digits/1/model.onnx",
        "models/digits/config.pbtxt",
    ]
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {
        (0, 0, 0, "")
    }
    assert {member.mode for member in members if member.isfile()} == {0o644}
    assert {member.mode for member in members if member.isdir()} == {0o755}


def test_empty_folders_are_kept_with_all_that_lead_to_them() -> None:
    layer = make_layer([make_text_file("models/a/config.pbtxt", "")], ["models/b/1"])

    with tarfile.open(fileobj=io.BytesIO(content(layer))) as tar:
        found = [(member.name, member.isdir()) for member in tar.getmembers()]

    assert found == [
        ("models", True),
        ("models/a", True),
        ("models/b", True),
        ("models/b/1", True),
        ("models/a/config.pbtxt", False),
    ]
    assert layer.digest != make_layer([make_text_file("models/a/config.pbtxt", "")]).digest


def test_size_and_digest_are_those_of_the_bytes(tmp_path: Path) -> None:
    layer = layer_of(tmp_path)
    data = content(layer)

    assert layer.size == len(data)
    assert layer.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("offset", [0, 1, 512, 1_000_000, 2_500_001])
def test_it_can_be_read_from_anywhere(tmp_path: Path, offset: int) -> None:
    layer = layer_of(tmp_path)

    assert b"".join(layer.chunks(offset)) == content(layer)[offset:]


def test_order_and_age_of_the_files_make_no_difference(tmp_path: Path) -> None:
    first = layer_of(tmp_path)
    (tmp_path / "weights").unlink()
    again = make_layer(reversed(layer_of(tmp_path).files))

    assert again.digest == first.digest


def test_a_long_name_survives() -> None:
    name = "models/digits/1/" + "d" * 120 + "/" + "\u00e4" * 100
    layer = make_layer([make_text_file(name, "x")])

    with tarfile.open(fileobj=io.BytesIO(content(layer))) as tar:
        assert tar.getnames()[-1] == name


@pytest.mark.parametrize("now", [b"x" * 3_000_000, b"w", b"w" * 3_000_001])
def test_a_file_that_changed_since_it_was_hashed_stops_the_job(tmp_path: Path, now: bytes) -> None:
    files = layer_of(tmp_path).files
    (tmp_path / "weights").write_bytes(now)

    with pytest.raises(JobFailure) as refused:
        make_layer(files)

    assert (refused.value.reason, refused.value.transient) == (Reason.SOURCE_CHANGED, True)
