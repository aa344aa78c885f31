"""Large models go from their source to the registry in one pass, and give the same image."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest
from slipway.api.result import EXIT_OK, EXIT_PERMANENT, EXIT_TRANSIENT, PackageResult
from slipway.jobs.registry.blob import BytesBlob
from slipway.jobs.registry.media_types import OCI_MANIFEST
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import push_blob
from slipway.jobs.sources.streaming import STREAM_BYTES
from slipway.settings import RegistryAccess

from tests.contract.registry import servers
from tests.contract.registry.bench import Bench, Shelf, client
from tests.contract.registry.test_trouble import through

SIZE = STREAM_BYTES + 2_000_017
SMALL = 64
Refusal = Callable[[servers.Conversation, servers.Seen], int | None]


def a_large_graph() -> bytes:
    """An ONNX graph with two weights, one of which fills the file."""
    names = {"large": SIZE // 4, "small": SMALL}
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "small"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SMALL])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", SMALL])],
        [
            helper.make_tensor(name, TensorProto.FLOAT, [count], os.urandom(4 * count), raw=True)
            for name, count in names.items()
        ],
    )
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def put_in_claim(bench: Bench, name: str, data: bytes) -> None:
    path = bench.places.source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def copied(folder: Path) -> int:
    """Bytes that lie below a folder; holes are none."""
    return sum(item.stat().st_blocks * 512 for item in folder.rglob("*") if item.is_file())


def same_image_from_claim(bench: Bench, name: str, data: bytes) -> PackageResult:
    put_in_claim(bench, name, data)
    return bench.package(f"pvc://claim/{name}", repository=f"{bench.registry}/models/claim")


def test_a_large_file_is_streamed_into_the_image_that_a_copy_of_it_gives(bench: Bench) -> None:
    bench.shelf.files["/digits.plan"] = data = os.urandom(SIZE)

    streamed = bench.package("/digits.plan")

    assert (bench.exit_code, streamed.error) == (EXIT_OK, None)
    assert "stream" in streamed.seconds
    assert copied(bench.places.scratch) < SMALL * 1024
    assert bench.shelf.sent == SIZE
    claim = same_image_from_claim(bench, "digits.plan", data)
    assert digest_of(claim) == digest_of(streamed)
    assert (claim.model_digest, claim.bytes) == (streamed.model_digest, streamed.bytes)
    assert bench.pull(streamed.image or "").file("models/digits/1/model.plan") == data
    assert streamed.download_digest is not None


def digest_of(result: PackageResult) -> str:
    assert result.image is not None, result.error
    return result.image.partition("@")[2]


def test_of_a_large_graph_the_inputs_are_known_without_a_copy(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = data = a_large_graph()

    streamed = bench.package("/digits.onnx")

    assert onnx.load_model_from_string(data)
    assert "stream" in streamed.seconds
    assert streamed.signature is not None
    assert [(item.name, item.dims) for item in streamed.signature.inputs] == [("x", [SMALL])]
    assert copied(bench.places.scratch) < SMALL * 1024
    assert digest_of(same_image_from_claim(bench, "digits.onnx", data)) == digest_of(streamed)


def test_what_is_called_a_graph_and_is_none_is_fetched_and_taken_as_it_is(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = data = b"\xff" * SIZE

    result = bench.package("/digits.onnx")

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert copied(bench.places.scratch) >= SIZE
    assert digest_of(same_image_from_claim(bench, "digits.onnx", data)) == digest_of(result)


@pytest.mark.parametrize("missing", [1, 1_000_000])
def test_a_large_graph_that_is_cut_off_pushes_nothing(bench: Bench, missing: int) -> None:
    graph = a_large_graph()
    bench.shelf.files["/digits.onnx"] = graph[:-missing]
    gate = servers.Gate(bench.registry)

    with servers.serving(gate) as server:
        result = bench.package("/digits.onnx", registries=through(bench, server))

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.CORRUPT_MODEL
    assert f"found {len(graph) - missing} bytes" in result.error.message
    assert not server.requests("PUT")


def test_a_known_model_is_not_read_again(bench: Bench) -> None:
    bench.shelf.files["/digits.plan"] = os.urandom(SIZE)
    first = bench.package("/digits.plan")
    gate = servers.Gate(bench.registry)

    with servers.serving(gate) as server:
        again = bench.package("/digits.plan", registries=through(bench, server), version="2")

    assert (again.image, again.reused) == (first.image, True)
    assert again.model_copy(update={"seconds": first.seconds, "reused": False}) == first
    assert {seen.method for seen in server.seen} == {"GET"}
    assert "stream" not in again.seconds


def test_a_pinned_model_is_known_without_asking_its_source(bench: Bench) -> None:
    data = os.urandom(SIZE)
    bench.shelf.files["/digits.plan"] = data
    expected = same_image_from_claim(bench, "digits.plan", data)
    changes = {"digest": expected.model_digest}
    source = bench.order("/digits.plan").source.model_copy(update=changes)
    first = bench.package("/digits.plan", source=source)
    bench.shelf.files.clear()

    again = bench.package("/digits.plan", source=source)

    assert (again.image, again.reused, again.error) == (first.image, True, None)


def test_other_bytes_or_another_configuration_are_not_known(bench: Bench) -> None:
    bench.shelf.files["/digits.plan"] = os.urandom(SIZE)
    first = bench.package("/digits.plan")

    other = bench.package(
        "/digits.plan", config=ConfigRequest(model_name="digits", max_batch_size=8)
    )
    bench.shelf.files["/digits.plan"] = os.urandom(SIZE)
    replaced = bench.package("/digits.plan")

    assert [first.reused, other.reused, replaced.reused] == [False, False, False]
    assert len({first.image, other.image, replaced.image}) == 3


def test_another_configuration_of_a_claim_sends_no_weights_again(bench: Bench) -> None:
    put_in_claim(bench, "digits.plan", os.urandom(SIZE))
    first = bench.package("pvc://claim/digits.plan")
    gate = servers.Gate(bench.registry)

    with servers.serving(gate) as server:
        again = bench.package(
            "pvc://claim/digits.plan",
            config=ConfigRequest(model_name="digits", max_batch_size=8),
            registries=through(bench, server),
        )

    assert "stream" in first.seconds
    assert (again.error, again.reused, again.image == first.image) == (None, False, False)
    assert all(seen.received < SMALL * 1024 for seen in server.requests("PATCH"))
    layers = [bench.pull(str(result.image)).manifest["layers"] for result in (first, again)]
    assert layers[0][1] == layers[1][1]


def test_a_claim_that_changes_while_it_is_sent_pushes_nothing(bench: Bench) -> None:
    put_in_claim(bench, "digits.plan", os.urandom(SIZE))
    path = bench.places.source / "digits.plan"
    gate = servers.Gate(bench.registry)

    def handle(talk: servers.Conversation, seen: servers.Seen) -> None:
        if talk.command == "POST":
            with path.open("r+b") as file:
                file.write(b"other")
        gate(talk, seen)

    with servers.serving(handle) as server:
        fresh = f"{bench.registry}/models/changing"
        result = bench.package(
            "pvc://claim/digits.plan", repository=fresh, registries=through(bench, server)
        )

    assert bench.exit_code == EXIT_TRANSIENT
    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_CHANGED
    assert not server.requests("PUT", "/manifests/")


def test_a_record_whose_image_is_gone_or_of_another_model_is_not_believed(bench: Bench) -> None:
    bench.shelf.files["/digits.plan"] = os.urandom(SIZE)
    fresh = f"{bench.registry}/models/believed"
    first = bench.package("/digits.plan", repository=fresh)
    target = Repository(client(bench.registry), "models/believed")
    answer = target.registry.call("GET", target.url("tags/list"), target.scopes)
    (tag,) = [name for name in json.loads(answer.data)["tags"] if name.startswith("s-")]
    record = target.manifest(tag, (OCI_MANIFEST,))
    assert record is not None
    content = json.loads(record.data)
    lie = first.model_copy(update={"model_digest": "sha256:" + "0" * 64})
    blob = BytesBlob(lie.model_dump_json(by_alias=True, exclude_none=True).encode())
    push_blob(target, blob)
    content["config"] |= {"digest": blob.digest, "size": blob.size}
    target.put_manifest(tag, json.dumps(content).encode(), OCI_MANIFEST)

    again = bench.package("/digits.plan", repository=fresh)

    assert (again.model_digest, again.image) == (first.model_digest, first.image)


def test_another_digest_than_the_pinned_one_pushes_nothing(bench: Bench) -> None:
    bench.shelf.files["/digits.plan"] = os.urandom(SIZE)
    source = bench.order("/digits.plan").source.model_copy(update={"digest": "sha256:" + "0" * 64})
    gate = servers.Gate(bench.registry)

    with servers.serving(gate) as server:
        result = bench.package("/digits.plan", source=source, registries=through(bench, server))

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.DIGEST_MISMATCH
    assert not server.requests("PUT")
    assert server.requests("DELETE", "/blobs/uploads/")


@pytest.mark.parametrize("cuts", [[0], [5_000_000], [1_000_000, 9_000_000, 3_000_000]])
def test_a_source_that_breaks_off_goes_on_and_no_byte_is_sent_twice(
    bench: Bench, cuts: list[int]
) -> None:
    bench.shelf.files["/digits.plan"] = data = os.urandom(SIZE)
    bench.shelf.cut_after = list(cuts)

    result = bench.package("/digits.plan")

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert copied(bench.places.scratch) < SMALL * 1024
    assert bench.shelf.sent == SIZE
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == data


def test_a_source_that_cannot_go_on_is_fetched_instead(bench: Bench) -> None:
    bench.shelf.files["/digits.plan"] = data = os.urandom(SIZE)
    bench.shelf.cut_after, bench.shelf.can_resume = [5_000_000], False

    result = bench.package("/digits.plan")

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert copied(bench.places.scratch) >= SIZE
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == data


def test_a_source_that_is_replaced_meanwhile_is_never_mixed(bench: Bench) -> None:
    shelf, old, new = bench.shelf, os.urandom(SIZE), os.urandom(SIZE)
    shelf.files["/digits.plan"] = old
    shelf.cut_after = [5_000_000]
    serve = Shelf.__call__
    answers = 0

    def handle(talk: servers.Conversation, seen: servers.Seen) -> None:
        nonlocal answers
        answers += 1
        shelf.files["/digits.plan"] = old if answers == 1 else new
        serve(shelf, talk, seen)

    assert shelf.server is not None
    shelf.server.respond = handle
    result = bench.package("/digits.plan")

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == new


@pytest.mark.parametrize("remembers", [True, False])
def test_an_upload_that_breaks_off_in_mid_stream_reads_the_source_again_from_there(
    bench: Bench, *, remembers: bool
) -> None:
    bench.shelf.files["/digits.plan"] = data = os.urandom(SIZE)
    gate = servers.Gate(bench.registry, cut_uploads_after=[9_000_000], remembers=remembers)

    with servers.serving(gate) as server:
        result = bench.package("/digits.plan", registries=through(bench, server))

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert copied(bench.places.scratch) < SMALL * 1024
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == data
    if remembers:
        assert server.requests("PATCH")[1].received < SIZE - 8_000_000


def no_patch(status: int) -> Refusal:
    return lambda talk, _: status if talk.command == "PATCH" else None


def no_large_request(_: servers.Conversation, seen: servers.Seen) -> int | None:
    return 413 if int(seen.headers.get("content-length", 0)) > STREAM_BYTES else None


@pytest.mark.parametrize(
    "refuse",
    [
        pytest.param(no_patch(405), id="no PATCH"),
        pytest.param(no_patch(501), id="not implemented"),
        pytest.param(no_large_request, id="no request of more than 16 MiB"),
    ],
)
def test_a_registry_that_takes_no_stream_gets_the_bytes_otherwise(
    bench: Bench, refuse: Refusal
) -> None:
    bench.shelf.files["/digits.plan"] = data = os.urandom(SIZE)
    gate = servers.Gate(bench.registry)

    def handle(talk: servers.Conversation, seen: servers.Seen) -> None:
        status = refuse(talk, seen)
        if status is None:
            gate(talk, seen)
            return
        talk.answer(status, {"Connection": "close"})
        talk.close_connection = True

    with servers.serving(handle) as server:
        fresh = f"{bench.registry}/models/{refuse.__name__.strip('<>')}"
        access = [RegistryAccess(host=bench.registry, endpoint=server.host, plain_http=True)]
        result = bench.package("/digits.plan", repository=fresh, registries=access)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == data
    assert client(bench.registry)
