from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.check.golden_set import GoldenSetInvalid, load_golden_set
from slipway.jobs.file_tree import Tree, make_tree, walk_files
from slipway.jobs.http import Backoff
from slipway.jobs.package.repository_plan import plan_model_repository
from slipway.jobs.placeholder import describe_placeholder
from slipway.jobs.sources.access import SourceAccess, SourceMounts
from slipway.jobs.sources.claim import fetch_from_claim

POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:0000000000000000000000000000000000000000000000000000000000000000
size 102442450
"""
LOGIN = b"\n<!DOCTYPE html>\n<html><head><title>Sign in\n to Acme</title></head></html>"
DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'


def tree_of(folder: Path, **files: bytes) -> Tree:
    for name, data in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return make_tree(walk_files(folder))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("m.onnx", POINTER, "git-lfs pointer, expected the file of 102442450 bytes"),
        ("m.tar.gz", POINTER, "git lfs pull"),
        ("m.xml", POINTER, "git-lfs pointer"),
        ("m.onnx", LOGIN, "an HTML page titled 'Sign in to Acme'"),
        ("m.zip", b"<html></html>", "an HTML page, expected m.zip"),
        ("m.xml", LOGIN, "an HTML page"),
        ("m.jit", DENIED, "text that begins with '<?xml"),
        ("m.onnx", b'{"error": "expired"}', 'text that begins with \'{"error": "expired"}\''),
        ("m.plan", b"<" + "\u00e9".encode() * 1000, "text that begins with"),
    ],
)
def test_what_stands_in_the_place_of_a_model_is_named(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    assert said in (describe_placeholder(path, name) or "")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.onnx", b"\x08\x07\x12\x04test"),
        ("m.onnx", b""),
        ("m.onnx", b"{\x00\x01"),
        ("m.xml", b'<?xml version="1.0"?><net name="m"></net>'),
        ("model.py", b"<html>"[:1]),
        ("page.html", LOGIN),
        ("labels.txt", b"{seven}"),
    ],
)
def test_a_model_is_no_placeholder(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)

    assert describe_placeholder(path, name) is None


@pytest.mark.parametrize("data", [POINTER, LOGIN], ids=["pointer", "login page"])
@pytest.mark.parametrize("name", ["m.onnx", "m.tar.gz"])
def test_a_file_of_a_claim_that_is_no_model_is_refused(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(JobFailure, match=r"found (a git-lfs pointer|an HTML page)") as refused:
        fetch_from_claim(
            SourceAccess(SourceRequest(uri=f"pvc://models/{name}"), SourceMounts(tmp_path)),
            tmp_path / "scratch",
            Backoff(),
        )

    assert refused.value.reason == Reason.SOURCE_REFUSED


@pytest.mark.parametrize(
    "files",
    [
        {"1__model_dot_onnx": LOGIN},
        {"1__model_dot_onnx": POINTER},
        {"1__model_dot_onnx": b"\x08\x07", "1__model_dot_onnx_data": POINTER},
        {"1__model_dot_py": b"x = 1", "1__weights_dot_bin": POINTER},
    ],
    ids=["a page", "a pointer", "weights beside the graph", "data of a Python model"],
)
def test_weights_in_a_directory_that_are_no_weights_are_refused(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    with pytest.raises(JobFailure, match=r"^source 1/") as refused:
        plan_model_repository(tree_of(tmp_path, **files), ConfigRequest(model_name="digits"))

    assert refused.value.reason == Reason.SOURCE_REFUSED


def test_a_pointer_that_no_server_reads_is_no_obstacle(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, **{"1__model_dot_onnx": b"\\x08\\x07", "logo_dot_png": POINTER})

    plan_model_repository(tree, ConfigRequest(model_name="digits"))


def test_a_golden_set_of_pointers_is_named(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, golden_dot_yaml=b"outputs: {}", cases__1_dot_json=POINTER)

    with pytest.raises(GoldenSetInvalid, match=r"cases/1.json: found a git-lfs pointer"):
        load_golden_set(tree)
