"""Models of a hub: a branch as its commit, gated models, broken connections."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_TRANSIENT, PackageResult

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench, Shelf, a_model, a_tar
from tests.contract.registry.hub import Hub

HIDDEN = "hf_a-secret-that-no-message-shows"
MODEL = {"1/model.onnx": a_model(), "config.pbtxt": b"max_batch_size: 8\n"}
LARGE = random.Random(5).randbytes(3_000_000)


@pytest.fixture
def hub() -> Iterator[tuple[Hub, str]]:
    hub = Hub()
    hub.push("main", MODEL)
    with servers.serving(hub) as server:
        yield hub, f"http://{server.host}"


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path) -> Bench:
    return Bench("registry.invalid", shelf, tmp_path)


def fetch(
    bench: Bench,
    endpoint: str,
    uri: str = "hf://acme/digits",
    secret: dict[str, str] | None = None,
    **source: Any,
) -> PackageResult:
    asked = AccessRequest(endpoint=endpoint)
    if secret is not None:
        stores.mount_secret(bench.places.source_secret, secret)
        asked = AccessRequest(endpoint=endpoint, secret="hub-key")  # noqa: S106 - a name
    order = SourceRequest(uri=uri, allow_plain_http=True, access=asked, **source)
    result = bench.package("m", source=order, mode=PackageMode.FETCH)
    assert result.error is None or HIDDEN not in result.error.message
    return result


def error_of(result: PackageResult) -> tuple[str, str]:
    assert result.error is not None
    return result.error.reason, result.error.message


def test_a_model_has_the_digest_that_it_has_everywhere(bench: Bench, hub: tuple[Hub, str]) -> None:
    bench.shelf.files["/digits.tar.gz"] = a_tar(MODEL)
    expected = bench.package("/digits.tar.gz", mode=PackageMode.FETCH)

    result = fetch(bench, hub[1])

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert result.model_digest == expected.model_digest


@pytest.mark.parametrize("separator", ["@", ":"])
def test_a_branch_becomes_its_commit(bench: Bench, hub: tuple[Hub, str], separator: str) -> None:
    commit = hub[0].push("dev", {"model.onnx": a_model(8)})

    result = fetch(bench, hub[1], f"hf://acme/digits{separator}dev")
    hub[0].push("dev", MODEL)
    later = fetch(bench, hub[1], str(result.origin))

    assert result.origin == f"hf://acme/digits@{commit}"
    assert (later.error, later.model_digest) == (None, result.model_digest)


@pytest.mark.parametrize("path", ["onnx", "onnx/model.onnx"])
def test_a_folder_or_a_file_of_it_will_do(bench: Bench, hub: tuple[Hub, str], path: str) -> None:
    hub[0].push("main", {"onnx/model.onnx": a_model(), "pytorch_model.bin": b"other"})

    result = fetch(bench, hub[1], f"hf://acme/digits/{path}")

    assert (result.error, result.format) == (None, "ONNX")


def test_a_token_of_a_secret_lets_one_in(bench: Bench, hub: tuple[Hub, str]) -> None:
    hub[0].token = HIDDEN

    assert fetch(bench, hub[1], secret={"HF_TOKEN": HIDDEN}).error is None


def test_a_gated_model_says_where_to_accept_its_terms(bench: Bench, hub: tuple[Hub, str]) -> None:
    hub[0].token, hub[0].is_gated = "other", True

    reason, message = error_of(fetch(bench, hub[1], secret={"HF_TOKEN": HIDDEN}))

    assert reason == Reason.SOURCE_REFUSED
    assert "is gated, and Secret hub-key may not read it" in message
    assert f"{hub[1]}/acme/digits" in message


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("hf://acme/nothing", "there is no model acme/nothing, or no credentials may not see it"),
        ("hf://acme/digits@nothing", "model acme/digits has no revision 'nothing'"),
        ("hf://acme/digits/nothing", "there is no nothing in model acme/digits"),
    ],
)
def test_what_is_not_there_is_named(
    bench: Bench, hub: tuple[Hub, str], uri: str, says: str
) -> None:
    reason, message = error_of(fetch(bench, hub[1], uri))

    assert (reason, says in message) == (Reason.SOURCE_NOT_FOUND, True), message


def test_a_broken_download_goes_on_where_it_stopped(bench: Bench, hub: tuple[Hub, str]) -> None:
    hub[0].push("main", {"model.onnx": LARGE})
    hub[0].cut_after = [1_000_000, 500_000]

    result = fetch(bench, hub[1])

    assert result.error is None or result.error.reason != Reason.SOURCE_UNAVAILABLE
    assert (bench.places.scratch / "download" / "model.onnx").read_bytes() == LARGE
    assert hub[0].sent < len(LARGE) + 2**20


def test_a_file_that_is_not_what_the_hub_promises_is_refused(
    bench: Bench, hub: tuple[Hub, str]
) -> None:
    hub[0].wrong_digests = True

    reason, message = error_of(fetch(bench, hub[1]))

    assert (bench.exit_code, reason) == (EXIT_TRANSIENT, Reason.SOURCE_CHANGED)
    assert "1/model.onnx" in message


def test_a_hub_without_tls_needs_leave(bench: Bench, hub: tuple[Hub, str]) -> None:
    source = SourceRequest(uri="hf://acme/digits", access=AccessRequest(endpoint=hub[1]))

    result = bench.package("m", source=source, mode=PackageMode.FETCH)

    assert "found an endpoint with http and no digest" in error_of(result)[1]
