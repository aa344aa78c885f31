"""A package Job against a real registry: what it makes, and what it makes only once."""

import gzip
import hashlib
import json
import platform
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_PERMANENT
from slipway.jobs.registry.media_types import OCI_INDEX, OCI_MANIFEST
from slipway.jobs.registry.repository import Repository
from slipway.settings import RegistryAccess

from tests.contract.registry import servers
from tests.contract.registry.bench import (
    Bench,
    Pulled,
    a_model,
    a_tar,
    client,
    push_base,
    push_index,
)

BATCHING = ConfigRequest(model_name="digits", max_batch_size=8)
HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def image_of(bench: Bench, path: str, **changes: object) -> Pulled:
    result = bench.package(path, **changes)
    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert result.image is not None
    return bench.pull(result.image)


def test_a_model_file_becomes_an_image_of_the_base_and_two_layers(bench: Bench) -> None:
    model = a_model()
    bench.shelf.files["/digits.onnx"] = model

    image = image_of(bench, "/digits.onnx", config=BATCHING)

    assert image.names(1) == [
        "models",
        "models/digits",
        "models/digits/1",
        "models/digits/1/model.onnx",
    ]
    assert image.file("models/digits/1/model.onnx") == model
    assert b'backend: "onnxruntime"' in image.file("models/digits/config.pbtxt")
    assert image.config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(layer).hexdigest()}"
        for layer in (gzip.decompress(image.layers[0]), *image.layers[1:])
    ]
    assert image.config["config"]["Entrypoint"] == ["/usr/bin/env"]
    assert len(image.config["history"]) == len(image.layers) == 3


def test_an_archive_gives_the_same_image_as_the_directory(bench: Bench) -> None:
    files = {"config.pbtxt": b"max_batch_size: 8", "3/model.onnx": a_model(7), "labels.txt": b"a"}
    bench.shelf.files["/digits.tar.gz"] = a_tar({f"digits/{k}": v for k, v in files.items()})
    for name, data in files.items():
        path = bench.places.source / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    packed = bench.package("/digits.tar.gz")
    plain = bench.package("pvc://claim/models")

    assert packed.image is not None
    assert packed.model_digest == plain.model_digest
    assert packed.image == plain.image
    assert packed.download_digest is not None
    assert plain.reused
    image = bench.pull(packed.image)
    assert image.names(2)[-2:] == ["models/digits/config.pbtxt", "models/digits/labels.txt"]


def test_the_result_says_all_that_a_revision_needs(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(9)

    result = bench.package("/digits.onnx", config=BATCHING)

    assert result.server_version == "2.51.0"
    assert result.format == "ONNX"
    assert result.bytes == len(a_model(9))
    assert result.signature is not None
    assert [(item.name, item.datatype, item.dims) for item in result.signature.inputs] == [
        ("x", "FP32", [9])
    ]
    assert set(result.seconds) == {"fetch", "hash", "base", "pack", "push"}


def test_known_inputs_send_nothing_and_get_the_same_image(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(11)
    first = bench.package("/digits.onnx", version="1")

    gate = servers.Gate(bench.registry)
    with servers.serving(gate) as server:
        through = [RegistryAccess(host=bench.registry, endpoint=server.host, plain_http=True)]
        again = bench.package("/digits.onnx", version="2", registries=through)

    assert not first.reused
    assert again.reused
    assert again.image == first.image
    assert {seen.method for seen in server.seen} == {"GET"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"config": BATCHING}, id="another configuration"),
        pytest.param({"config": ConfigRequest(model_name="other")}, id="another model name"),
        pytest.param({"base_image": "{registry}/base/newer:1"}, id="another base"),
    ],
)
def test_other_inputs_make_another_image(bench: Bench, changes: dict[str, object]) -> None:
    push_base(bench.registry, "base/newer", label="2.71.0")
    bench.shelf.files["/digits.onnx"] = a_model(13)
    first = bench.package("/digits.onnx", config=ConfigRequest(model_name="digits"))
    if "base_image" in changes:
        changes = {"base_image": f"{bench.registry}/base/newer:1"}

    other = bench.package("/digits.onnx", **changes)

    assert not other.reused
    assert other.image != first.image
    assert other.model_digest == first.model_digest


def test_an_image_under_our_tag_that_does_not_name_our_inputs_is_not_believed(
    bench: Bench,
) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(17)
    first = bench.package("/digits.onnx", repository=f"{bench.registry}/models/trust")
    target = Repository(client(bench.registry), "models/trust")
    image = bench.pull(first.image or "")
    forged = {**image.manifest, "annotations": {**image.manifest["annotations"]}}
    forged["annotations"]["slipway.dev/model-digest"] = "sha256:" + "0" * 64
    tag = tag_of(bench, "models/trust")
    target.put_manifest(tag, json.dumps(forged).encode(), OCI_MANIFEST)

    again = bench.package("/digits.onnx", repository=f"{bench.registry}/models/trust")

    assert not again.reused
    assert again.image == first.image


def tag_of(bench: Bench, repository: str) -> str:
    registry = client(bench.registry)
    answer = registry.call(
        "GET", registry.url(repository, "tags/list"), (f"repository:{repository}:pull",)
    )
    (tag,) = json.loads(answer.data)["tags"]
    assert tag.startswith("m-")
    assert len(tag) == 18
    return str(tag)


def test_layers_of_a_base_in_the_same_registry_are_mounted_not_sent(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(19)
    gate = servers.Gate(bench.registry)

    with servers.serving(gate) as server:
        through = [RegistryAccess(host=bench.registry, endpoint=server.host, plain_http=True)]
        fresh = f"{bench.registry}/models/mounted"
        result = bench.package("/digits.onnx", repository=fresh, registries=through)

    assert result.error is None
    assert len(server.requests("POST", "mount=")) == 1
    assert len(server.requests("PATCH")) == 3, "two layers and the image's configuration"


def test_a_base_in_another_registry_is_copied_blob_by_blob(bench: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bench.shelf.files["/digits.onnx"] = a_model(23)
    with servers.running_registry(elsewhere) as other:
        digest = push_base(other, "base/triton", label="2.60.0", docker=False)
        result = bench.package(
            "/digits.onnx",
            base_image=f"{other}/base/triton@{digest}",
            repository=f"{bench.registry}/models/copied",
            registries=[
                RegistryAccess(host=bench.registry, plain_http=True),
                RegistryAccess(host=other, plain_http=True),
            ],
        )

    assert result.error is None
    assert result.base_digest == digest
    assert bench.pull(result.image or "").file("opt/tritonserver/VERSION") == b"2.60.0"


def test_of_an_index_the_image_for_this_machine_is_taken(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(29)
    ours = push_base(bench.registry, "base/multi", label="2.52.0")
    foreign = push_base(bench.registry, "base/multi", label="2.53.0")
    push_index(bench.registry, "base/multi", [(foreign, "s390x"), (ours, HERE)])

    result = bench.package("/digits.onnx", base_image=f"{bench.registry}/base/multi:multi")

    assert (result.base_digest, result.server_version) == (ours, "2.52.0")


def test_a_base_for_several_architectures_gives_an_index_with_the_same_layers(
    bench: Bench,
) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(31)
    amd = push_base(bench.registry, "base/both", label="2.52.0")
    arm = push_base(bench.registry, "base/both", label="2.52.0-arm")
    base = f"{bench.registry}/base/both:multi"
    push_index(bench.registry, "base/both", [(arm, "arm64"), (amd, "amd64"), (amd, "s390x")])

    made, again = (
        bench.package("/digits.onnx", base_image=base, architectures=["arm64", "amd64"])
        for _ in range(2)
    )

    assert (bench.exit_code, made.error, again.reused) == (EXIT_OK, None, True)
    # The revision is known by the same digest, whichever node the Job came to.
    assert (made.base_digest, made.image) == (amd, again.image)
    target = Repository(client(bench.registry), "models/digits")
    index = target.manifest(str(made.image).partition("@")[2], (OCI_INDEX,))
    assert index is not None
    entries = json.loads(index.data)["manifests"]
    assert [item["platform"]["architecture"] for item in entries] == ["amd64", "arm64"]
    images = [bench.pull(f"{bench.registry}/models/digits@{entry['digest']}") for entry in entries]
    assert images[0].layers[1:] == images[1].layers[1:]
    assert images[0].layers[0] != images[1].layers[0]


def test_nodes_that_the_base_is_not_for_are_named_before_anything_starts(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(33)

    result = bench.package("/digits.onnx", architectures=["arm64", "s390x"])

    assert (bench.exit_code, result.image) == (EXIT_PERMANENT, None)
    assert result.error is not None
    assert result.error.reason == Reason.ARCHITECTURE_MISSING
    assert "found linux/amd64, expected linux/arm64, linux/s390x" in result.error.message


def test_nodes_of_which_the_base_is_for_some_are_a_warning(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(35)

    result = bench.package("/digits.onnx", architectures=["arm64", "amd64"])

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert [text for text in result.warnings if "not for linux/arm64" in text]


def test_an_image_to_mount_has_the_model_alone_and_the_server_is_pinned(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = model = a_model(37)
    in_image = bench.package("/digits.onnx")

    result = bench.package("/digits.onnx", mode=PackageMode.VOLUME)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    base = bench.package("/digits.onnx").base_digest
    assert result.image == f"{bench.registry}/base/triton@{base}"
    assert (result.base_digest, result.server_version) == (base, "2.51.0")
    mounted, built = bench.pull(str(result.model_image)), bench.pull(str(in_image.image))
    assert mounted.layers == built.layers[1:]
    assert mounted.file("models/digits/1/model.onnx") == model
    assert mounted.config["rootfs"]["diff_ids"] == built.config["rootfs"]["diff_ids"][1:]


@pytest.mark.parametrize(
    ("base", "says"),
    [
        pytest.param("base/absent:1", "found no 1 in", id="no such repository"),
        pytest.param("base/triton:absent", "found no absent in", id="no such tag"),
        pytest.param(f"base/triton@sha256:{'0' * 64}", "found no sha256:", id="no such digest"),
        pytest.param("base/foreign:multi", "found platforms linux/s390x, expected", id="platform"),
    ],
)
def test_a_base_that_is_not_there_is_said(bench: Bench, base: str, says: str) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()
    digest = push_base(bench.registry, "base/foreign")
    push_index(bench.registry, "base/foreign", [(digest, "s390x")])

    result = bench.package("/digits.onnx", base_image=f"{bench.registry}/{base}")

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.REGISTRY_REFUSED
    assert says in result.error.message


def test_mode_fetch_resolves_the_digest_and_needs_no_registry(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()

    result = bench.package(
        "/digits.onnx", mode=PackageMode.FETCH, base_image=None, repository=None, registries=[]
    )

    assert bench.exit_code == EXIT_OK
    assert result.image is None
    assert result.model_digest is not None


def test_the_init_container_lays_the_repository_and_leaves_nothing_else(
    bench: Bench, tmp_path: Path
) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()
    models = tmp_path / "models"
    models.mkdir()
    resolved = bench.package("/digits.onnx", mode=PackageMode.FETCH)
    source = SourceRequest(uri=bench.shelf.url("/digits.onnx"), digest=resolved.model_digest)

    for _ in range(2):  # a container that is started again finds its own leftovers
        result = bench.package(
            "/digits.onnx",
            mode=PackageMode.FETCH,
            deliver_to=str(models),
            source=source,
            config=BATCHING,
        )
        assert (bench.exit_code, result.error) == (EXIT_OK, None)

    found = {str(path.relative_to(models)) for path in models.rglob("*")}
    assert found == {"digits", "digits/1", "digits/1/model.onnx", "digits/config.pbtxt"}
    assert (models / "digits/1/model.onnx").read_bytes() == a_model()


def test_the_init_container_refuses_other_bytes_than_pinned(bench: Bench, tmp_path: Path) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()
    pinned = SourceRequest(uri=bench.shelf.url("/digits.onnx"), digest="sha256:" + "0" * 64)

    result = bench.package(
        "/digits.onnx", mode=PackageMode.FETCH, deliver_to=str(tmp_path), source=pinned
    )

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.DIGEST_MISMATCH
    assert not (tmp_path / "digits").exists()


def test_the_next_pod_on_a_node_takes_the_model_from_the_cache(
    bench: Bench, tmp_path: Path
) -> None:
    bench.shelf.files["/digits.onnx"] = model = a_model(39)
    digest = bench.package("/digits.onnx", mode=PackageMode.FETCH).model_digest
    source = SourceRequest(uri=bench.shelf.url("/digits.onnx"), digest=digest)
    before = bench.shelf.sent

    for number in range(2):
        into = tmp_path / f"pod-{number}"
        result = bench.package(
            "/digits.onnx",
            mode=PackageMode.FETCH,
            deliver_to=str(into),
            source=source,
            cache_bytes=2**30,
        )
        assert (bench.exit_code, result.error) == (EXIT_OK, None)
        assert (into / "digits/1/model.onnx").read_bytes() == model

    assert bench.shelf.sent - before == len(model)
