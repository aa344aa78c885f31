"""Models from the web that not everybody may read: tokens, passwords, authorities, proxies."""

import http.client
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, PackageMode, SourceRequest
from slipway.api.result import PackageResult

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench, Shelf, a_model
from tests.contract.registry.servers import Conversation, Seen

HIDDEN = "a-secret-that-no-message-shows"
TOKEN = f"Bearer {HIDDEN}"
PASSWORD = f"Basic {b64encode(f'reader:{HIDDEN}'.encode()).decode()}"


class Vault:
    """A shelf that asks for an Authorization header, and may send one on to another host."""

    def __init__(self) -> None:
        self.wants = TOKEN
        self.moved_to: str | None = None

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        if seen.headers.get("authorization") != self.wants:
            talk.answer(401 if "authorization" not in seen.headers else 403)
        elif self.moved_to is not None:
            talk.answer(302, {"Location": self.moved_to})
        else:
            talk.answer(200, body=a_model())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> servers.Certificate:
    return servers.make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def vault(certificate: servers.Certificate) -> Iterator[tuple[Vault, str]]:
    vault = Vault()
    with servers.serving(vault, certificate) as server:
        yield vault, f"https://{server.host}/m.onnx"


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path, certificate: servers.Certificate) -> Bench:
    bench = Bench("registry.invalid", shelf, tmp_path)
    bench.places.source_ca.mkdir()
    (bench.places.source_ca / "ca.crt").write_text(certificate.certificate.read_text())
    return bench


def fetch(
    bench: Bench, uri: str, secret: dict[str, str] | None = None, **access: Any
) -> PackageResult:
    if secret is not None:
        stores.mount_secret(bench.places.source_secret, secret)
        access = {"secret": "web-key", **access}
    asked = AccessRequest(**{"ca_config_map": "company-ca", **access})
    source = SourceRequest(uri=uri, access=asked)
    result = bench.package("m", source=source, mode=PackageMode.FETCH)
    assert result.error is None or HIDDEN not in result.error.message
    return result


def message_of(result: PackageResult) -> str:
    assert result.error is not None
    assert result.error.reason == Reason.SOURCE_REFUSED
    return result.error.message


@pytest.mark.parametrize(
    ("secret", "wants"),
    [
        ({"token": HIDDEN}, TOKEN),
        ({"bearerToken": HIDDEN}, TOKEN),
        ({"username": "reader", "password": HIDDEN}, PASSWORD),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_token_or_a_password_lets_one_in(
    bench: Bench, vault: tuple[Vault, str], secret: dict[str, str], wants: str
) -> None:
    vault[0].wants = wants

    assert fetch(bench, vault[1], secret).error is None


def test_a_refused_secret_is_named(bench: Bench, vault: tuple[Vault, str]) -> None:
    says = message_of(fetch(bench, vault[1], {"token": "other"}))

    assert "found status 403, expected 200: the server does not let in Secret web-key" in says


def test_without_a_secret_it_is_said_what_to_set(bench: Bench, vault: tuple[Vault, str]) -> None:
    says = message_of(fetch(bench, vault[1]))

    assert "the server asks for credentials; set spec.model.source.credentialsSecretRef" in says


def test_a_secret_with_neither_is_refused(bench: Bench, vault: tuple[Vault, str]) -> None:
    says = message_of(fetch(bench, vault[1], {"AWS_ACCESS_KEY_ID": HIDDEN}))

    assert "Secret web-key has neither token nor username and password" in says


def test_a_token_is_never_sent_on_to_another_host(bench: Bench, vault: tuple[Vault, str]) -> None:
    seen: list[str | None] = []

    def other(talk: Conversation, request: Seen) -> None:
        seen.append(request.headers.get("authorization"))
        talk.answer(200, body=a_model())

    certificate = servers.make_certificate(bench.folder)
    authorities = bench.places.source_ca / "ca.crt"
    authorities.write_text(authorities.read_text() + certificate.certificate.read_text())
    with servers.serving(other, certificate) as server:
        vault[0].moved_to = f"https://{server.host}/m.onnx"

        assert fetch(bench, vault[1], {"token": HIDDEN}).error is None

    assert seen == [None]


def test_a_token_is_never_sent_openly(bench: Bench) -> None:
    bench.shelf.files["/m.onnx"] = a_model()
    stores.mount_secret(bench.places.source_secret, {"token": HIDDEN})
    source = SourceRequest(
        uri=bench.shelf.url("/m.onnx"),
        allow_plain_http=True,
        access=AccessRequest(secret="web-key"),  # noqa: S106 - a name
    )

    says = message_of(bench.package("m", source=source, mode=PackageMode.FETCH))

    assert "Secret web-key must not be sent openly" in says
    assert bench.shelf.server is not None
    assert bench.shelf.server.seen == []


def test_an_authority_that_nobody_gave_is_asked_for(bench: Bench, vault: tuple[Vault, str]) -> None:
    says = message_of(fetch(bench, vault[1], {"token": HIDDEN}, ca_config_map=None))

    assert "set connection.caConfigMapRef if a private authority signed it" in says


class TestProxy:
    def test_it_is_on_the_way(self, bench: Bench) -> None:
        bench.shelf.files["/m.onnx"] = a_model()

        def proxy(talk: Conversation, _: Seen) -> None:
            target = urlsplit(talk.path)
            with closing(http.client.HTTPConnection(target.netloc)) as onward:
                onward.request("GET", target.path)
                answer = onward.getresponse()
                talk.answer(answer.status, body=answer.read())

        with servers.serving(proxy) as server:
            result = self.fetch(bench, f"http://{server.host}", [])
            asked = [seen.path for seen in server.seen]

        assert result.error is None
        assert asked == [bench.shelf.url("/m.onnx")]

    def test_some_hosts_need_none(self, bench: Bench) -> None:
        bench.shelf.files["/m.onnx"] = a_model()

        assert self.fetch(bench, "http://127.0.0.1:1", ["127.0.0.0/8"]).error is None

    def fetch(self, bench: Bench, proxy: str, without: list[str]) -> PackageResult:
        source = SourceRequest(
            uri=bench.shelf.url("/m.onnx"),
            allow_plain_http=True,
            access=AccessRequest(proxy=proxy, no_proxy=without),
        )
        return bench.package("m", source=source, mode=PackageMode.FETCH)


def test_an_expired_signature_is_said(bench: Bench) -> None:
    bench.shelf.statuses = [403]
    uri = bench.shelf.url("/m.onnx?X-Amz-Signature=hidden&X-Amz-Expires=60")
    source = SourceRequest(uri=uri, allow_plain_http=True)

    result = bench.package("m", source=source, mode=PackageMode.FETCH)

    assert "the address is signed, and its signature may have expired" in message_of(result)
    assert "hidden" not in message_of(result)
