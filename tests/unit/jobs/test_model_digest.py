import hashlib
import subprocess
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, TreeFile, make_tree, walk_files
from slipway.jobs.model_digest import hash_tree, require_digest

FILES = {"1/model.onnx": b"weights", "config.pbtxt": b"", "1/Zebra": b"z", "1/\u00e4": b"umlaut"}
COMMAND = (
    "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c-64"
)


def write(folder: Path) -> Path:
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_the_digest_is_that_of_the_documented_command(tmp_path: Path) -> None:
    folder = write(tmp_path)
    said = subprocess.run(COMMAND, shell=True, cwd=folder, capture_output=True, check=True)  # noqa: S602

    assert (
        hash_tree(make_tree(walk_files(folder))).digest == f"sha256:{said.stdout.decode().strip()}"
    )


def test_the_digest_of_one_file_is_over_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "anywhere"
    file.write_bytes(b"weights")
    line = f"{hashlib.sha256(b'weights').hexdigest()}  model.onnx\n"

    found = hash_tree(Tree((TreeFile("model.onnx", file),)))

    assert found.digest == f"sha256:{hashlib.sha256(line.encode()).hexdigest()}"
    assert found.size == len(b"weights")


def test_the_same_tree_has_the_same_digest_below_a_top_directory(tmp_path: Path) -> None:
    plain, wrapped = write(tmp_path / "plain"), write(tmp_path / "wrapped" / "v1" / "digits")

    assert (
        hash_tree(make_tree(walk_files(plain))).digest
        == hash_tree(make_tree(walk_files(wrapped.parent.parent))).digest
    )


def test_a_mismatch_says_what_to_pin(tmp_path: Path) -> None:
    tree = make_tree(walk_files(write(tmp_path)), download_digest="sha256:" + "d" * 64)
    found = hash_tree(tree)
    wrong = "sha256:" + "0" * 64

    require_digest(tree, found, None, what="source")
    require_digest(tree, found, found.digest, what="source")
    with pytest.raises(JobFailure) as refused:
        require_digest(tree, found, wrong, what="source")

    assert refused.value.reason == Reason.DIGEST_MISMATCH
    assert not refused.value.transient
    assert all(text in str(refused.value) for text in (wrong, found.digest, "d" * 64))
