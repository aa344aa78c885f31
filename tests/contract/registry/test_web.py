"""Models from the web: broken connections, wrong answers, and what is not allowed."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_PERMANENT, EXIT_TRANSIENT, PackageResult

from tests.contract.registry import servers
from tests.contract.registry.bench import FAST, Bench, Shelf, a_model, a_tar
from tests.ports import free_port


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path) -> Bench:
    return Bench("registry.invalid", shelf, tmp_path)


def fetch(bench: Bench, path: str, **source: Any) -> PackageResult:
    uri = path if "://" in path else bench.shelf.url(path)
    order = SourceRequest(**{"uri": uri, "allow_plain_http": True, **source})
    return bench.package(path, source=order, mode=PackageMode.FETCH)


def ranges(bench: Bench) -> list[str | None]:
    assert bench.shelf.server is not None
    return [seen.headers.get("range") for seen in bench.shelf.server.seen]


@pytest.mark.parametrize("can_resume", [True, False], ids=["goes on", "begins anew"])
def test_a_broken_download_is_completed(bench: Bench, can_resume: bool) -> None:
    data = os.urandom(3_000_000)
    bench.shelf.files["/m.plan"] = data
    bench.shelf.cut_after = [1_000_000, 0, 1_500_000]
    bench.shelf.can_resume = can_resume

    result = fetch(bench, "/m.plan")

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert result.bytes == len(data)
    assert (bench.places.scratch / "download" / "m.plan").read_bytes() == data
    asked = [int(item[6:-1]) for item in ranges(bench) if item]
    assert all(offset > 0 for offset in asked)
    assert asked == sorted(asked)
    assert (bench.shelf.sent == len(data)) is can_resume, "bytes were sent twice, or never"


def test_a_pod_that_starts_again_needs_no_source_where_the_node_has_the_model(
    bench: Bench,
) -> None:
    bench.shelf.files["/m.onnx"] = a_model()
    uri, pinned = bench.shelf.url("/m.onnx"), fetch(bench, "/m.onnx").model_digest
    source = SourceRequest(uri=uri, allow_plain_http=True, digest=pinned)
    cached = {"source": source, "mode": PackageMode.FETCH, "cache_bytes": 2**20}
    bench.package("/m.onnx", **cached)
    bench.shelf.files.clear()
    shutil.rmtree(bench.places.scratch)

    result = bench.package("/m.onnx", **cached)

    assert (bench.exit_code, result.error) == (EXIT_OK, None)


def test_a_file_that_changed_meanwhile_is_never_mixed(bench: Bench) -> None:
    first, second = bytes(2_000_000), b"\x01" * 2_000_000
    bench.shelf.files["/m.plan"] = first
    bench.shelf.cut_after = [1_000_000]
    original = bench.shelf._send

    def send(talk: servers.Conversation, seen: servers.Seen, data: bytes) -> None:
        original(talk, seen, data)
        bench.shelf.files["/m.plan"] = second

    bench.shelf._send = send  # type: ignore[method-assign]

    result = fetch(bench, "/m.plan")

    assert result.error is None
    assert (bench.places.scratch / "download" / "m.plan").read_bytes() == second


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_answers_are_waited_out(bench: Bench, status: int) -> None:
    bench.shelf.files["/m.onnx"] = a_model()
    bench.shelf.statuses = [status] * (FAST.attempts - 1)

    fetch(bench, "/m.onnx")

    assert bench.exit_code == EXIT_OK


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (404, Reason.SOURCE_NOT_FOUND, EXIT_PERMANENT),
        (410, Reason.SOURCE_NOT_FOUND, EXIT_PERMANENT),
        (401, Reason.SOURCE_REFUSED, EXIT_PERMANENT),
        (403, Reason.SOURCE_REFUSED, EXIT_PERMANENT),
        (503, Reason.SOURCE_UNAVAILABLE, EXIT_TRANSIENT),
    ],
)
def test_answers_that_stay_are_told_apart(
    bench: Bench, status: int, reason: Reason, code: int
) -> None:
    bench.shelf.statuses = [status] * FAST.attempts

    result = fetch(bench, "/m.onnx?signature=secret-word")

    assert bench.exit_code == code
    assert result.error is not None
    assert result.error.reason == reason
    assert str(status) in result.error.message
    assert "secret-word" not in result.error.message


def test_a_server_that_is_not_there_may_come_back(bench: Bench) -> None:
    result = fetch(bench, f"http://127.0.0.1:{free_port()}/m.onnx")

    assert bench.exit_code == EXIT_TRANSIENT
    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_UNAVAILABLE


def test_a_download_that_is_too_large_stops_early(bench: Bench) -> None:
    bench.shelf.files["/m.onnx"] = bytes(1000)

    result = fetch(bench, "/m.onnx", max_bytes=999)

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_TOO_LARGE


def test_plain_http_needs_a_pin_or_the_operators_word(bench: Bench) -> None:
    bench.shelf.files["/m.onnx"] = a_model()
    digest = fetch(bench, "/m.onnx").model_digest

    pinned = fetch(bench, "/m.onnx", allow_plain_http=False, digest=digest)
    refused = fetch(bench, "/m.onnx", allow_plain_http=False)

    assert pinned.error is None
    assert refused.error is not None
    assert refused.error.reason == Reason.SOURCE_REFUSED
    assert "sources.allowPlainHTTP" in refused.error.message


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param("http://host/models/", "ends in '/'", id="a directory"),
        pytest.param("http://user:secret-word@host/m.onnx", "user name", id="credentials"),
        pytest.param("http://host/..", "contains '..'", id="a climbing name"),
        pytest.param("http://host/a%2F", "ends in '/'", id="a directory, encoded"),
        pytest.param("http://host/a%2F..", "contains '..'", id="a climbing name, encoded"),
        pytest.param(
            "https://[YOUR-BUCKET].s3.amazonaws.com/m.onnx",
            "spec.model.source.uri https://[YOUR-BUCKET].s3.amazonaws.com/m.onnx: found the host "
            "'[YOUR-BUCKET].s3.amazonaws.com'",
            id="a placeholder in brackets",
        ),
        pytest.param("https://<bucket>.host/m.onnx", "'<bucket>.host'", id="in angle brackets"),
        pytest.param("https://${BUCKET}/m.onnx?sig=secret-word", "'${BUCKET}'", id="a variable"),
        pytest.param("https:///m.onnx", "found the host ''", id="no host"),
        pytest.param("https://host:99999/m.onnx", "'host:99999'", id="no port"),
        pytest.param("ftp://host/m.onnx", "found scheme 'ftp'", id="another scheme"),
    ],
)
def test_addresses_that_cannot_be_right_are_refused(bench: Bench, uri: str, says: str) -> None:
    result = fetch(bench, uri)

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert says in result.error.message
    assert "secret-word" not in result.error.message


class TestRedirects:
    def test_they_are_followed(self, bench: Bench) -> None:
        bench.shelf.files["/real"] = a_model()
        bench.shelf.redirects["/m.onnx"] = "/real?token=1"

        assert fetch(bench, "/m.onnx").error is None

    def test_but_not_for_ever(self, bench: Bench) -> None:
        bench.shelf.redirects["/m.onnx"] = "/m.onnx"

        error = fetch(bench, "/m.onnx").error

        assert error is not None
        assert "more than 5 redirects" in error.message

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x"])
    def test_and_only_on_the_web(self, bench: Bench, target: str) -> None:
        bench.shelf.redirects["/m.onnx"] = target

        error = fetch(bench, "/m.onnx").error

        assert error is not None
        assert error.reason == Reason.SOURCE_REFUSED


@pytest.mark.parametrize("name", ["/m.onnx", "/m.tar.gz", "/m.zip"])
def test_a_login_page_is_named_before_any_pod_starts(bench: Bench, name: str) -> None:
    bench.shelf.files[name] = b"<!DOCTYPE html><html><title>Sign in</title></html>"

    result = fetch(bench, name)

    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_REFUSED
    assert "an HTML page titled 'Sign in'" in result.error.message


def test_a_model_that_was_cut_off_before_it_was_uploaded_is_named_before_any_pod_starts(
    bench: Bench,
) -> None:
    bench.shelf.files["/m.onnx"] = a_model()[:60]

    result = fetch(bench, "/m.onnx")

    assert result.error is not None
    assert result.error.reason == Reason.CORRUPT_MODEL
    assert "source m.onnx: cut off: found 60 bytes" in result.error.message


def test_a_slash_in_an_address_may_be_encoded(bench: Bench) -> None:
    bench.shelf.files["/o/models%2Fplain.onnx"] = a_model()

    assert fetch(bench, "/o/models%2Fplain.onnx?alt=media").error is None


class TestNames:
    """Where the address does not say what the file is, the server does."""

    @pytest.mark.parametrize(
        "disposition",
        [
            'attachment; filename="echo.tar.gz"',
            "attachment; filename=echo.tar.gz",
            "attachment; filename=x; filename*=UTF-8''echo.tar.gz",
            'attachment; filename="../up/echo.tar.gz"',
            'attachment; filename="C:\\\\up\\\\echo.tar.gz"',
        ],
    )
    def test_a_name_may_stand_in_the_answer_only(self, bench: Bench, disposition: str) -> None:
        bench.shelf.files["/download"] = a_tar({"m/model.onnx": a_model()})
        bench.shelf.headers["Content-Disposition"] = disposition

        result = fetch(bench, "/download?file=echo.tar.gz")

        assert (result.error, result.format) == (None, "ONNX")

    def test_or_in_the_address_that_a_redirect_leads_to(self, bench: Bench) -> None:
        bench.shelf.files["/v7/m.onnx"] = a_model()
        bench.shelf.redirects["/latest"] = "/v7/m.onnx"

        assert fetch(bench, "/latest").error is None

    def test_a_telling_name_of_the_address_stays_and_so_does_the_digest(self, bench: Bench) -> None:
        bench.shelf.files["/m.onnx"] = a_model()
        before = fetch(bench, "/m.onnx").model_digest
        bench.shelf.headers["Content-Disposition"] = "attachment; filename=other.onnx"

        assert fetch(bench, "/m.onnx").model_digest == before

    def test_no_name_at_all_is_an_error_that_says_what_was_found(self, bench: Bench) -> None:
        bench.shelf.files["/download"] = a_model()
        bench.shelf.headers["Content-Disposition"] = 'attachment; filename="..;"'

        error = fetch(bench, "/download").error

        assert error is not None
        assert "found download" in error.message


class TestContentEncoding:
    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "aws-chunked,gzip"])
    def test_what_the_store_compressed_is_decompressed(self, bench: Bench, encoding: str) -> None:
        bench.shelf.files["/m.onnx"] = a_model()
        plain = fetch(bench, "/m.onnx").model_digest
        bench.shelf.files["/m.onnx"] = gzip.compress(a_model())
        bench.shelf.headers["Content-Encoding"] = encoding

        result = fetch(bench, "/m.onnx")

        assert (result.error, result.model_digest) == (None, plain)

    @pytest.mark.parametrize("times", [1, 2], ids=["the file's own", "once more"])
    def test_an_archive_may_carry_it_for_its_own_compression(
        self, bench: Bench, times: int
    ) -> None:
        data = a_tar({"m/model.onnx": a_model()})
        bench.shelf.files["/m.tar.gz"] = gzip.compress(data) if times > 1 else data
        bench.shelf.headers["Content-Encoding"] = "gzip"

        assert fetch(bench, "/m.tar.gz").error is None

    @pytest.mark.parametrize("encoding", ["gzip", "utf-8", "aws-chunked", "identity"])
    def test_a_wrong_one_is_ignored(self, bench: Bench, encoding: str) -> None:
        bench.shelf.files["/m.onnx"] = a_model()
        bench.shelf.headers["Content-Encoding"] = encoding

        assert fetch(bench, "/m.onnx").error is None

    @pytest.mark.parametrize(
        ("encoding", "data", "reason"),
        [
            pytest.param("br", b"x", Reason.SOURCE_REFUSED, id="another one"),
            pytest.param(
                "gzip", gzip.compress(a_model())[:-9], Reason.CORRUPT_ARCHIVE, id="cut off"
            ),
            pytest.param(
                "gzip", gzip.compress(bytes(2**20)), Reason.SOURCE_TOO_LARGE, id="too large"
            ),
        ],
    )
    def test_what_cannot_be_undone_is_an_error(
        self, bench: Bench, encoding: str, data: bytes, reason: Reason
    ) -> None:
        bench.shelf.files["/m.onnx"] = data
        bench.shelf.headers["Content-Encoding"] = encoding

        error = fetch(bench, "/m.onnx", max_bytes=500_000).error

        assert error is not None
        assert error.reason == reason
