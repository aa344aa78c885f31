"""Models in registries: images and artifacts of every layout, by the real registry."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, PackageResult
from slipway.jobs.registry.blob import BytesBlob
from slipway.jobs.registry.media_types import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import push_blob

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import DOCKER_CONFIG, DOCKER_LAYER, Bench, a_model, a_tar, client
from tests.contract.registry.servers import Gate

MODEL = {"1/model.onnx": a_model(), "config.pbtxt": b"max_batch_size: 8\n"}
EMPTY = "application/vnd.oci.empty.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1"
Layer = tuple[str, bytes, dict[str, str]]


def push(
    host: str,
    layers: list[Layer],
    *,
    config: str = EMPTY,
    manifest_type: str = OCI_MANIFEST,
    repository: str = "models/digits",
    tag: str = "3",
) -> str:
    target = Repository(client(host), repository)
    settings = BytesBlob(b"{}")
    push_blob(target, settings)
    described = []
    for media_type, data, annotations in layers:
        blob = BytesBlob(data)
        push_blob(target, blob)
        entry: dict[str, Any] = {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
        described.append(entry | ({"annotations": annotations} if annotations else {}))
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": {"mediaType": config, "digest": settings.digest, "size": settings.size},
        "layers": described,
    }
    return target.put_manifest(tag, json.dumps(manifest).encode(), manifest_type)


def fetch(
    bench: Bench,
    path: str = "models/digits:3",
    *,
    host: str | None = None,
    secret: dict[str, str] | None = None,
) -> PackageResult:
    host = host or bench.registry
    access = AccessRequest(endpoint=f"http://{host}")
    if secret is not None:
        stores.mount_secret(bench.places.source_secret, secret)
        access = access.model_copy(update={"secret": "registry-key"})
    source = SourceRequest(uri=f"oci://{host}/{path}", allow_plain_http=True, access=access)
    return bench.package("m", source=source, mode=PackageMode.FETCH)


def titled(name: str) -> dict[str, str]:
    return {"org.opencontainers.image.title": name}


def at(path: str) -> dict[str, str]:
    return {"org.cncf.model.filepath": path}


def image_layer(files: dict[str, bytes]) -> bytes:
    return a_tar({f"models/digits/{name}": data for name, data in files.items()}, "w")


LAYOUTS: dict[str, tuple[str, str, list[Layer]]] = {
    "ORAS, a file per layer": (
        EMPTY,
        OCI_MANIFEST,
        [(TAR, data, titled(name)) for name, data in MODEL.items()],
    ),
    "ORAS, a directory": (
        EMPTY,
        OCI_MANIFEST,
        [
            (
                f"{TAR}+gzip",
                a_tar({f"digits/{name}": data for name, data in MODEL.items()}),
                {**titled("digits"), "io.deis.oras.content.unpack": "true"},
            )
        ],
    ),
    "ORAS, an archive": (
        EMPTY,
        OCI_MANIFEST,
        [("application/gzip", a_tar(MODEL), titled("digits.tar.gz"))],
    ),
    "ModelPack, raw": (
        MODEL_CONFIG,
        OCI_MANIFEST,
        [
            (f"{WEIGHT}.raw", MODEL["1/model.onnx"], at("1/model.onnx")),
            (
                "application/vnd.cncf.model.weight.config.v1.raw",
                MODEL["config.pbtxt"],
                at("config.pbtxt"),
            ),
            ("application/vnd.cncf.model.doc.v1.raw", b"# read me", at("README.md")),
        ],
    ),
    "ModelPack, tars": (
        MODEL_CONFIG,
        OCI_MANIFEST,
        [
            (f"{WEIGHT}.tar", a_tar(MODEL, "w"), at("1")),
            ("application/vnd.cncf.model.dataset.v1.tar", a_tar({"x": b""}, "w"), at("data")),
        ],
    ),
    "a modelcar of Docker": (
        DOCKER_CONFIG,
        DOCKER_MANIFEST,
        [
            (DOCKER_LAYER, a_tar({"bin/busybox": b"x", "etc/passwd": b"root"}), {}),
            (
                DOCKER_LAYER,
                gzip.compress(image_layer({**MODEL, "1/old.bin": b"x", "1/model.onnx": b"old"})),
                {},
            ),
            (DOCKER_LAYER, a_tar({"models/digits/1/.wh.old.bin": b""}), {}),
            (DOCKER_LAYER, gzip.compress(image_layer({"1/model.onnx": a_model()})), {}),
        ],
    ),
    "an image in OCI's form": (OCI_CONFIG, OCI_MANIFEST, [(TAR, image_layer(MODEL), {})]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_has_the_digest_that_it_has_everywhere(bench: Bench, layout: str) -> None:
    bench.shelf.files["/digits.tar.gz"] = a_tar(MODEL)
    expected = bench.package("/digits.tar.gz", mode=PackageMode.FETCH)
    config, manifest_type, layers = LAYOUTS[layout]
    digest = push(bench.registry, layers, config=config, manifest_type=manifest_type)

    result = fetch(bench)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert result.model_digest == expected.model_digest
    assert result.origin == f"oci://{bench.registry}/models/digits@{digest}"


def test_a_moved_tag_does_not_move_what_was_found(bench: Bench) -> None:
    push(bench.registry, [(TAR, a_model(), titled("model.onnx"))], tag="moving")
    before = fetch(bench, "models/digits:moving")
    push(bench.registry, [(TAR, a_model(8), titled("model.onnx"))], tag="moving")

    again = fetch(bench, str(before.origin).partition("/models/")[2].join(["models/", ""]))
    moved = fetch(bench, "models/digits:moving")

    assert again.model_digest == before.model_digest
    assert moved.model_digest != before.model_digest


def test_of_an_image_for_several_platforms_one_is_read(bench: Bench) -> None:
    digest = push(bench.registry, [(TAR, image_layer(MODEL), {})], config=OCI_CONFIG)
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
    target = Repository(client(bench.registry), "models/digits")
    target.put_manifest("several", json.dumps(index).encode(), OCI_INDEX)

    assert fetch(bench, "models/digits:several").error is None


def test_an_image_made_by_slipway_is_a_source_too(bench: Bench) -> None:
    bench.shelf.files["/m.onnx"] = a_model()
    made = bench.package("/m.onnx")
    assert made.image is not None

    result = fetch(bench, made.image.partition("/")[2])

    assert (result.error, result.format) == (None, "ONNX")


@pytest.mark.parametrize(
    "secret",
    [
        {"username": "me", "password": "word"},
        {".dockerconfigjson": '{"auths": {"HOST": {"username": "me", "password": "word"}}}'},
    ],
    ids=" ".join,
)
def test_a_secret_lets_one_in(bench: Bench, secret: dict[str, str]) -> None:
    push(bench.registry, [(TAR, a_model(), titled("model.onnx"))], tag="private")
    gate = Gate(bench.registry, ticket="t", basic="Basic bWU6d29yZA==")
    with servers.serving(gate) as server:
        filled = {key: value.replace("HOST", server.host) for key, value in secret.items()}

        assert fetch(bench, "models/digits:private", host=server.host, secret=filled).error is None
        refused = fetch(bench, "models/digits:private", host=server.host)

    assert refused.error is not None
    assert refused.error.reason == Reason.SOURCE_REFUSED
    assert "no credentials" in refused.error.message


@pytest.mark.parametrize(
    ("layers", "config", "reason", "says"),
    [
        ([], EMPTY, Reason.SOURCE_NOT_FOUND, "no layers"),
        (
            [(TAR, a_tar({"bin/x": b""}, "w"), {})],
            OCI_CONFIG,
            Reason.SOURCE_NOT_FOUND,
            "no files below /models",
        ),
        ([(f"{WEIGHT}.tar+zstd", b"x", at("1"))], MODEL_CONFIG, Reason.SOURCE_REFUSED, "zstd"),
        ([(TAR, b"x", titled("../up"))], EMPTY, Reason.SOURCE_REFUSED, "'../up' contains '..'"),
        ([(TAR, b"no tar", {})], OCI_CONFIG, Reason.CORRUPT_ARCHIVE, "damaged"),
    ],
)
def test_what_cannot_be_a_model_is_named(
    bench: Bench, layers: list[Layer], config: str, reason: str, says: str
) -> None:
    push(bench.registry, layers, config=config, tag="odd")

    result = fetch(bench, "models/digits:odd")

    assert result.error is not None
    assert (result.error.reason, says in result.error.message) == (reason, True), result.error


def test_a_tag_that_is_not_there_is_named(bench: Bench) -> None:
    push(bench.registry, [(TAR, a_model(), titled("model.onnx"))])

    result = fetch(bench, "models/digits:nothing")

    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_NOT_FOUND
    assert "there is no nothing in" in result.error.message


def test_a_large_file_comes_whole(bench: Bench, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(5_000_000)
    push(bench.registry, [(TAR, data, titled("model.onnx"))], tag="large")

    fetch(bench, "models/digits:large")

    assert (tmp_path / "scratch" / "download" / "model.onnx").read_bytes() == data
