"""Authorities that clients trust: the system's, a library's where it has none, and ours."""

from pathlib import Path

import certifi
import pytest
from slipway.jobs.http import further_authorities, make_tls_context


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image without certificates, as slim ones are."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")


@pytest.mark.usefixtures("bare")
def test_an_image_without_certificates_trusts_those_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("OURS")

    assert make_tls_context(None).cert_store_stats()["x509_ca"] > 50
    assert further_authorities(None) == Path(certifi.where()).read_text()
    assert str(further_authorities(tmp_path / "ca.crt")).endswith("OURS")


def test_beside_the_systems_only_ours_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    (tmp_path / "ca.crt").write_text("OURS")

    assert further_authorities(None) is None
    assert further_authorities(tmp_path / "ca.crt") == "OURS"
