"""Pods that read a bucket by an identity of their own: a cloud's protocol, and stores that ask."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import AccessRequest, PackageMode, SourceRequest
from slipway.api.result import EXIT_PERMANENT, EXIT_TRANSIENT, PackageResult

from tests.contract.registry import servers, stores
from tests.contract.registry.bench import Bench, Shelf, a_model
from tests.contract.registry.servers import Conversation, RecordingServer, Seen
from tests.contract.registry.stores import BadWay, Store, Versitygw

pytestmark = pytest.mark.stores

PROJECTED = "a-projected-token"
TENANT, CLIENT = "72f988bf-86f1-41af-91ab-2d7cd011db47", "11111111-2222-3333-4444-555555555555"
ACCESS_TOKEN = "a-token-that-no-message-shows"  # noqa: S105 - of the test


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, servers.Certificate]:
    return servers.make_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def azurite(
    tmp_path_factory: pytest.TempPathFactory, chain: tuple[Path, servers.Certificate]
) -> Iterator[Store]:
    with stores.running_azurite(tmp_path_factory.mktemp("azurite"), chain[1]) as store:
        store.put({"plain.onnx": a_model()})
        yield store


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with stores.running_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        server.store().put({"plain.onnx": a_model()})
        server.allow_everybody()
        yield server


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path) -> Bench:
    return Bench("registry.invalid", shelf, tmp_path)


def fetch(bench: Bench, store: Store, **access: Any) -> PackageResult:
    known = {"service_account": "reader", "endpoint": store.address, **access}
    source = SourceRequest(
        uri=store.uri("plain.onnx"), allow_plain_http=True, access=AccessRequest(**known)
    )
    return bench.package("x", source=source, mode=PackageMode.FETCH)


def error_of(result: PackageResult) -> tuple[str, str]:
    assert result.error is not None
    assert ACCESS_TOKEN not in result.error.message
    assert PROJECTED not in result.error.message
    return result.error.reason, result.error.message


def an_azure_token(*, lasts_seconds: float = 3600) -> str:
    """Return a token with the claims that Azurite checks."""
    now = time.time()
    claims = {
        "aud": "https://storage.azure.com",
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": int(now - 7200),
        "nbf": int(now - 7200),
        "exp": int(now + lasts_seconds),
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b"c2lnbmF0dXJl"]).decode()


@dataclass
class Entra:
    """The route of Microsoft's authority by which a pod's token becomes one of the store."""

    token: str = field(default_factory=an_azure_token)
    refusal: str | None = None
    """Code with which every token is refused."""
    forms: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, talk: Conversation, _: Seen) -> None:
        body = talk.rfile.read(int(talk.headers.get("Content-Length", 0))).decode()
        if (talk.command, talk.path) != ("POST", f"/{TENANT}/oauth2/v2.0/token"):
            talk.answer(404, body=b'{"error": "invalid_request"}')
            return

        self.forms.append({name: values[0] for name, values in parse_qs(body).items()})
        if self.refusal is not None:
            answer = {"error": "invalid_client", "error_description": self.refusal}
            talk.answer(401, {"Content-Type": "application/json"}, json.dumps(answer).encode())
            return
        answer = {"token_type": "Bearer", "access_token": self.token}
        talk.answer(200, body=json.dumps({**answer, "expires_in": 3599}).encode())


class TestAzure:
    """As Azure's webhook does it: a projected token, and variables that say what it is for."""

    @pytest.fixture
    def entra(
        self,
        bench: Bench,
        chain: tuple[Path, servers.Certificate],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[Entra]:
        bench.places.source_ca.mkdir()
        (bench.places.source_ca / "ca.crt").write_bytes(chain[0].read_bytes())
        (bench.folder / "azure-identity-token").write_text(PROJECTED)
        entra = Entra()
        with servers.serving(entra, chain[1]) as server:
            monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://{server.host}/")
            monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
            monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
            file = str(bench.folder / "azure-identity-token")
            monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", file)
            yield entra

    def fetch(self, bench: Bench, azurite: Store, **access: Any) -> PackageResult:
        known = {"account": stores.AZURITE_ACCOUNT, "ca_config_map": "company-ca"}
        return fetch(bench, azurite, **{**known, **access})

    def test_the_pods_token_becomes_one_of_the_store(
        self, bench: Bench, azurite: Store, entra: Entra
    ) -> None:
        result = self.fetch(bench, azurite)

        assert (result.error, result.format) == (None, "ONNX")
        [form] = entra.forms
        assert form["client_assertion"] == PROJECTED
        assert form["client_id"] == CLIENT
        assert form["scope"] == "https://storage.azure.com/.default"

    def test_an_identity_that_nobody_knows_is_named_by_its_account(
        self, bench: Bench, azurite: Store, entra: Entra
    ) -> None:
        entra.refusal = "AADSTS70021: No matching federated identity record found"

        reason, message = error_of(self.fetch(bench, azurite))

        assert (bench.exit_code, reason) == (EXIT_TRANSIENT, Reason.SOURCE_UNAVAILABLE)
        assert "ServiceAccount reader got no token: is it bound to a role" in message

    def test_a_token_that_the_store_does_not_take_is_named_by_its_account(
        self, bench: Bench, azurite: Store, entra: Entra
    ) -> None:
        entra.token = an_azure_token(lasts_seconds=-1800)

        reason, message = error_of(self.fetch(bench, azurite))

        assert (bench.exit_code, reason) == (EXIT_PERMANENT, Reason.SOURCE_REFUSED)
        assert "the store does not accept the key or token of ServiceAccount reader" in message

    def test_keys_of_a_secret_come_before_the_identity(
        self, bench: Bench, azurite: Store, entra: Entra
    ) -> None:
        stores.mount_secret(
            bench.places.source_secret,
            {"AZURE_STORAGE_ACCOUNT": stores.AZURITE_ACCOUNT, "AZURE_STORAGE_SAS_TOKEN": "sig=a"},
        )

        _, message = error_of(self.fetch(bench, azurite, secret="models-key"))  # noqa: S106

        assert "Secret models-key" in message
        assert entra.forms == []


@dataclass
class MetadataServer:
    """The route of Google's metadata server that gives a pod the token of its ServiceAccount."""

    status: int = 200

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        if talk.path.partition("?")[0] != path or seen.headers.get("metadata-flavor") != "Google":
            talk.answer(403)
        elif self.status != 200:
            talk.answer(self.status, body=b"Unable to generate access token")
        else:
            token = {"access_token": ACCESS_TOKEN, "expires_in": 3599, "token_type": "Bearer"}
            talk.answer(200, {"Metadata-Flavor": "Google"}, json.dumps(token).encode())


class BearerOnly(BadWay):
    """Stands before a store that reads anonymously, and lets in who shows the token."""

    def __call__(self, talk: Conversation, seen: Seen) -> None:
        if seen.headers.get("authorization") == f"Bearer {ACCESS_TOKEN}":
            super().__call__(talk, seen)
        else:
            code = b"<Error><Code>AuthenticationRequired</Code></Error>"
            talk.answer(401, {"Content-Type": "application/xml"}, code)

    def _headers(self, talk: Conversation) -> dict[str, str]:
        return {k: v for k, v in super()._headers(talk).items() if k != "authorization"}


@contextmanager
def serving_metadata(
    handle: Callable[[Conversation, Seen], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecordingServer]:
    with servers.serving(handle) as server:
        address = f"localhost:{server.server_port}"
        for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP"):
            monkeypatch.setenv(name, address)
        yield server


class TestGoogle:
    """As GKE does it: no variable and no volume, but a server that knows every pod."""

    @pytest.fixture
    def bucket(self, versitygw: Versitygw) -> Iterator[Store]:
        upstream = versitygw.address.removeprefix("http://")
        with servers.serving(BearerOnly(upstream)) as server:
            yield Store(f"http://{server.host}", "gs", versitygw.store().writer, {})

    def test_the_metadata_servers_token_opens_the_bucket(
        self, bench: Bench, bucket: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving_metadata(MetadataServer(), monkeypatch) as metadata:
            result = fetch(bench, bucket)

        assert (result.error, result.format) == (None, "ONNX")
        assert len(metadata.seen) == 1

    @pytest.mark.parametrize("status", [403, 404])
    def test_an_account_that_may_be_nobody_is_named(
        self, bench: Bench, bucket: Store, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        with serving_metadata(MetadataServer(status), monkeypatch):
            reason, message = error_of(fetch(bench, bucket))

        assert (bench.exit_code, reason) == (EXIT_TRANSIENT, Reason.SOURCE_UNAVAILABLE)
        assert "ServiceAccount reader got no token: is it bound to a role" in message

    def test_the_metadata_server_is_never_asked_through_a_proxy(
        self, bench: Bench, bucket: Store, versitygw: Versitygw, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        behind = BearerOnly(versitygw.address.removeprefix("http://"))

        def respond(talk: Conversation, seen: Seen) -> None:
            talk.path = talk.path.removeprefix(bucket.address)
            behind(talk, seen)

        with (
            serving_metadata(MetadataServer(), monkeypatch) as metadata,
            servers.serving(respond) as proxy,
        ):
            result = fetch(bench, bucket, proxy=f"http://{proxy.host}", no_proxy=[])

        assert result.error is None
        assert len(metadata.seen) == 1
        assert all(seen.path.startswith(bucket.address) for seen in proxy.seen)


class TestAmazon:
    """As EKS Pod Identity does it; IRSA is in test_stores.py."""

    @pytest.fixture
    def agent(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
        (bench.folder / "eks-pod-identity-token").write_text(PROJECTED)
        keys = {"AccessKeyId": stores.USER, "SecretAccessKey": stores.PASSWORD}
        role = {**keys, "Token": ACCESS_TOKEN, "Expiration": "2099-01-01T00:00:00Z"}

        def respond(talk: Conversation, seen: Seen) -> None:
            is_known = seen.headers.get("authorization") == PROJECTED
            talk.answer(200 if is_known else 401, body=json.dumps(role).encode())

        with servers.serving(respond) as server:
            address = f"http://{server.host}/v1/credentials"
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
            file = str(bench.folder / "eks-pod-identity-token")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
            yield server

    def test_the_bucket_is_asked_with_the_keys_that_eks_agent_gives(
        self, bench: Bench, versitygw: Versitygw, agent: RecordingServer
    ) -> None:
        with servers.serving(BadWay(versitygw.address.removeprefix("http://"))) as gate:
            store = Store(f"http://{gate.host}", "s3", versitygw.store().writer, {})
            _, message = error_of(fetch(bench, store, region=stores.REGION))

        assert len(agent.seen) == 1
        assert f"Credential={stores.USER}/" in gate.seen[0].headers["authorization"]
        assert gate.seen[0].headers["x-amz-security-token"] == ACCESS_TOKEN
        # versitygw knows no session tokens, which is the one thing that it says.
        assert "the session token of ServiceAccount reader (400 InvalidToken)" in message
