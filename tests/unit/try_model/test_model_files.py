"""What is taken for a model, and what is said of anything else."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.try_model.model_files import NotAModel, open_model


def name_and_bytes(path: Path) -> tuple[str, bytes]:
    with open_model(path) as model:
        content = b"".join(model.blocks())
    assert model.size == len(content)
    return model.name, content


@pytest.mark.parametrize("name", ["net.onnx", "net.tar.gz", "trees.ubj", "xgboost.json", "m.pt"])
def test_a_model_file_and_an_archive_keep_name_and_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x08\x0a" * 700_000)

    assert name_and_bytes(path) == (name, b"\x08\x0a" * 700_000)


def test_a_directory_is_packed_with_what_its_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    place = tmp_path / "digits"
    (place / "1").mkdir(parents=True)
    (place / "config.pbtxt").write_text("max_batch_size: 8\n")
    (place / "1/model.onnx").symlink_to(tmp_path / "weights")

    name, content = name_and_bytes(place)

    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        assert {member.name: member.isreg() for member in packed} == {
            "config.pbtxt": True,
            "1/model.onnx": True,
        }
        linked = packed.extractfile("1/model.onnx")
        assert linked is not None
        assert linked.read() == b"weights"
    assert name == "digits.tar"


def nothing(_path: Path) -> None:
    """Leave it out."""


def empty(path: Path) -> None:
    path.touch()


def a_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><title>Sign in</title>")


def a_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 12345\n")


def notes(path: Path) -> None:
    path.mkdir()
    (path / "notes.md").touch()


def beside_others(path: Path) -> None:
    (path.parent / "right.onnx").touch()
    (path.parent / "notes.md").touch()


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        pytest.param("model.onnx", nothing, ["no such file", "expected a model file"], id="gone"),
        pytest.param("wrong.onnx", beside_others, ["beside it: right.onnx"], id="misspelt"),
        pytest.param("a/b.onnx", nothing, ["there is no directory", "/a"], id="no directory"),
        pytest.param("model.onnx", empty, ["found an empty file"], id="empty"),
        pytest.param("model.h5", a_page, ["found .h5", ".onnx"], id="another suffix"),
        pytest.param("model", a_page, ["found no suffix", ".onnx"], id="no suffix"),
        pytest.param("model.onnx", a_page, ["HTML page titled 'Sign in'"], id="login page"),
        pytest.param("model.onnx", a_pointer, ["git-lfs pointer", "12345 bytes"], id="pointer"),
        pytest.param("models", notes, ["found notes.md", "config.pbtxt"], id="no model in it"),
    ],
)
def test_what_is_no_model_is_named_with_what_was_expected(
    tmp_path: Path, name: str, make: Callable[[Path], None], words: list[str]
) -> None:
    path = tmp_path / name
    make(path)

    with pytest.raises(NotAModel) as raised, open_model(path):
        pass

    assert str(raised.value).startswith(f"{path}: ")
    for word in words:
        assert word in str(raised.value)
