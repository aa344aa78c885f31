"""Images made of one binary."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster import image


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(b"program")
    return path


def test_an_image_runs_its_binary_as_nobody(binary: Path) -> None:
    config = json.loads(image.image_of_binary(binary).config)["config"]
    assert config == {"Entrypoint": ["/tool"], "User": "65532"}


def test_the_layer_holds_an_executable(binary: Path) -> None:
    layer = gzip.decompress(image.image_of_binary(binary).layer)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tree:
        entry = tree.getmember("tool")
        content = tree.extractfile(entry)
        assert content
        assert content.read() == b"program"
        assert entry.mode == 0o755


def test_the_digests_name_what_they_should(binary: Path) -> None:
    made = image.image_of_binary(binary)
    manifest, config = json.loads(made.manifest), json.loads(made.config)
    assert manifest["layers"][0]["digest"] == image.digest_of(made.layer)
    assert manifest["config"]["digest"] == image.digest_of(made.config)
    assert config["rootfs"]["diff_ids"] == [image.digest_of(gzip.decompress(made.layer))]


def test_the_same_binary_gives_the_same_image(binary: Path) -> None:
    assert image.image_of_binary(binary).digest == image.image_of_binary(binary).digest


def test_an_archive_leads_from_its_index_to_the_manifest(binary: Path) -> None:
    made = image.image_of_binary(binary)
    packed = image.make_archive(made, "localhost/tool:1")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tree:
        index = tree.extractfile("index.json")
        assert index
        entry = json.load(index)["manifests"][0]
        blob = tree.extractfile("blobs/" + entry["digest"].replace(":", "/"))
        assert blob
        assert blob.read() == made.manifest

    assert entry["annotations"] == {"io.containerd.image.name": "localhost/tool:1"}
