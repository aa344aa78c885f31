"""TLS: a certificate that nobody vouches for is refused, a registry's own CA is believed."""

import shutil
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import PackageMode, SourceRequest
from slipway.api.result import EXIT_OK, EXIT_PERMANENT
from slipway.jobs.http import open_pool
from slipway.jobs.registry.client import RegistryClient as Client
from slipway.settings import RegistryAccess

from tests.contract.registry import servers
from tests.contract.registry.bench import FAST, Bench, Shelf, a_model, push_base_to


@pytest.fixture
def certificate(tmp_path: Path) -> servers.Certificate:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    return servers.make_certificate(tmp_path)


@pytest.mark.parametrize("is_trusted", [True, False], ids=["its CA is mounted", "it is not"])
def test_a_registry_is_believed_by_its_ca(
    certificate: servers.Certificate, tmp_path: Path, is_trusted: bool
) -> None:
    if servers.BINARY is None:
        pytest.skip(servers.MISSING)
    if is_trusted:
        (tmp_path / "ca" / "1").mkdir(parents=True)
        shutil.copy(certificate.certificate, tmp_path / "ca" / "1" / "ca.crt")
    source = tmp_path / "claim" / "digits.onnx"
    source.parent.mkdir()
    source.write_bytes(a_model())
    with servers.running_registry(tmp_path, certificate) as host:
        pool = open_pool(certificate.certificate)
        push_base_to(Client(host, f"https://{host}", pool, backoff=FAST), "base/triton")
        listed = [
            RegistryAccess(host="other.example"),
            RegistryAccess(host=host, ca_config_map="ca"),
        ]
        bench = Bench(host, Shelf(), tmp_path)
        result = bench.package("pvc://claim/digits.onnx", registries=listed)

    if is_trusted:
        assert (bench.exit_code, result.error) == (EXIT_OK, None)
        return
    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert "certificate is not trusted" in result.error.message


def test_a_source_without_a_trusted_certificate_is_refused_for_good(
    certificate: servers.Certificate, tmp_path: Path
) -> None:
    shelf = Shelf({"/digits.onnx": a_model()})
    with servers.serving(shelf, certificate) as server:
        bench = Bench("registry.invalid", shelf, tmp_path)
        uri = f"https://{server.host}/digits.onnx"
        source = SourceRequest(uri=uri)
        result = bench.package(uri, source=source, mode=PackageMode.FETCH)

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_REFUSED


def test_a_redirect_never_leaves_tls(
    certificate: servers.Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    plain, secure = Shelf({"/digits.onnx": a_model()}), Shelf()
    with servers.serving(plain) as http, servers.serving(secure, certificate) as https:
        secure.redirects["/digits.onnx"] = f"http://{http.host}/digits.onnx"
        bench = Bench("registry.invalid", secure, tmp_path)
        uri = f"https://{https.host}/digits.onnx"
        source = SourceRequest(uri=uri, allow_plain_http=True)
        result = bench.package(uri, source=source, mode=PackageMode.FETCH)

    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_REFUSED
    assert "expected https" in result.error.message
    assert http.seen == []
