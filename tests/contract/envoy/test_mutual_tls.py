"""Mutual TLS at the router: real Envoy, real agent, real certificates."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.certificates import Authority, Issued
from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Load, Router, send
from tests.contract.envoy.model import Model
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

WEIGHTS = {STABLE: 100, CANDIDATE: 0}
SPIFFE = "spiffe://example.org/ns/vision/sa/web"


@dataclass
class Door:
    """A router whose route wants certificates of its clients."""

    router: Router
    folder: Path
    servers: Authority = field(default_factory=Authority.make)
    clients: Authority = field(default_factory=lambda: Authority.make("clients"))

    def put_authority(self, *authorities: Authority, revoked: bytes = b"") -> None:
        bundle = b"".join(each.pem for each in authorities)
        more = {"ca.crl": revoked} if revoked else {}
        self.router.api.put_secret("clients-ca", {"ca.crt": bundle, **more})

    def ask(self, **clients: object) -> None:
        tls = {"secret": "digits-tls", "clients": {"secret": "clients-ca", **clients}}
        self.router.ask(WEIGHTS, tls=tls)

    def context(self, client: Issued | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.servers.pem.decode())
        if client is not None:
            file = self.folder / f"client-{client.certificate.serial_number}.pem"
            file.write_bytes(client.pem + client.key_pem)
            context.load_cert_chain(file)
        return context

    @contextlib.asynccontextmanager
    async def session(self, client: Issued | None) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.context(client))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    async def send(self, client: Issued | None) -> Load:
        load = Load()
        async with self.session(client) as session:
            await send(session, f"https://127.0.0.1:{self.router.port}", load)
        return load

    async def lets_in(self, client: Issued | None) -> bool:
        return not (await self.send(client)).failures

    async def says(self, reason: str, source: str = "Secret clients-ca/ca.crt") -> str:
        def found() -> dict[str, str]:
            entries = self.router.entry().get("credentials") or []
            return next((each for each in entries if each["source"] == source), {})

        await until(f"{reason} is said", lambda: found().get("reason") == reason)
        return found()["message"]


@pytest.fixture
async def door(tmp_path: Path, api: FakeApi, models: tuple[Model, Model]) -> AsyncIterator[Door]:
    door = Door(Router(tmp_path, api), tmp_path)
    for model in models:
        door.router.serve(model)
    api.readable_secrets |= {"digits-tls", "clients-ca"}
    api.put_secret("digits-tls", door.servers.issue().secret)
    door.ask()
    yield door
    door.router.stop()


@pytest.fixture
async def open_door(door: Door) -> Door:
    door.put_authority(door.clients)
    await door.router.start()
    return door


async def test_only_a_certificate_of_the_authority_that_is_valid_now_is_let_in(
    open_door: Door,
) -> None:
    door = open_door
    assert await door.lets_in(door.clients.issue("web.vision.svc"))
    assert not await door.lets_in(None)
    assert not await door.lets_in(Authority.make("others").issue("web.vision.svc"))
    assert not await door.lets_in(door.clients.issue("web.vision.svc", days=-1))
    assert not await door.lets_in(door.clients.issue("web.vision.svc", begins_in_days=1))


async def test_who_is_refused_hears_why_in_the_handshake(open_door: Door) -> None:
    """As TLS says it, before any request: the alerts that openssl shows to a person."""
    door = open_door
    refused = {
        "certificate required": None,
        "unknown ca": Authority.make("others").issue(),
        "certificate expired": door.clients.issue(days=-1),
    }
    for alert, client in refused.items():
        shown = await asyncio.to_thread(_handshake, door, client)
        assert f"alert {alert}" in shown.lower().replace("tlsv1 ", "").replace("tlsv13 ", ""), shown


def _handshake(door: Door, client: Issued | None) -> str:
    # The alert comes after the handshake: openssl must not end with its input.
    command = ["openssl", "s_client", "-ign_eof", "-connect", f"127.0.0.1:{door.router.port}"]
    if client is not None:
        file = door.folder / "refused.pem"
        file.write_bytes(client.pem + client.key_pem)
        command += ["-cert", str(file)]
    request = b"GET /v2 HTTP/1.1\r\nHost: digits\r\n\r\n"
    done = subprocess.run(command, input=request, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_grpc_is_let_in_by_the_same_certificate(open_door: Door) -> None:
    door, client = open_door, open_door.clients.issue("web.vision.svc")
    trusted = grpc.ssl_channel_credentials(door.servers.pem, client.key_pem, client.pem)
    strange = grpc.ssl_channel_credentials(door.servers.pem)
    address, request = f"127.0.0.1:{door.router.port}", service_pb2.ModelInferRequest(id="7")

    async with grpc.aio.secure_channel(address, trusted) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert (await stub.ModelInfer(request)).id == "7"
    async with grpc.aio.secure_channel(address, strange) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ModelInfer(request)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_needs_one_of_the_names(door: Door) -> None:
    door.put_authority(door.clients)
    door.ask(names=["spiffe://example.org/ns/vision/*", "batch.jobs.svc", "*.labs.svc"])
    await door.router.start()

    let_in = [
        door.clients.issue("whoever", uri=SPIFFE),
        door.clients.issue("batch.jobs.svc"),
        door.clients.issue("a.labs.svc"),
    ]
    refused = [
        door.clients.issue("web.vision.svc"),
        door.clients.issue("whoever", uri="spiffe://example.org/ns/visionary/sa/web"),
        door.clients.issue("labs.svc"),
        door.clients.issue("x", subject="batch.jobs.svc"),
    ]
    assert [await door.lets_in(each) for each in let_in] == [True] * 3
    assert [await door.lets_in(each) for each in refused] == [False] * 4


async def test_a_revoked_certificate_is_refused_and_no_other(open_door: Door) -> None:
    door, lost, kept = open_door, open_door.clients.issue("web"), open_door.clients.issue("web")
    assert await door.lets_in(lost)
    door.put_authority(door.clients, revoked=door.clients.revoke(lost))

    async def is_refused() -> bool:
        return not await door.lets_in(lost)

    await until("the list is in force", is_refused)
    assert await door.lets_in(kept)

    door.put_authority(door.clients, revoked=Authority.make("others").revoke(kept))
    assert "ca.crl has no list of CN=clients" in await door.says("CertificateBroken")
    assert await door.lets_in(kept)
    assert not await door.lets_in(lost)


async def test_a_change_of_authority_under_load_fails_nobody_who_has_a_certificate_of_either(
    open_door: Door,
) -> None:
    door, following = open_door, Authority.make("clients of next year")
    old, new = door.clients.issue("web"), following.issue("web")
    load, stop = Load(), asyncio.Event()

    async def keep_alive() -> None:
        async with door.session(old) as session:
            while not stop.is_set():
                await send(session, f"https://127.0.0.1:{door.router.port}", load)

    async def connect_anew() -> None:
        while not stop.is_set():
            found = await door.send(new if new_is_known.is_set() else old)
            load.revisions += found.revisions
            load.failures += found.failures

    async def is_let_in(client: Issued, *, wanted: bool) -> None:
        async def holds() -> bool:
            return await door.lets_in(client) is wanted

        await until(f"let in: {wanted}", holds)

    new_is_known = asyncio.Event()
    running = [asyncio.create_task(each()) for each in (keep_alive, connect_anew)]
    door.put_authority(door.clients, following)
    await is_let_in(new, wanted=True)
    new_is_known.set()
    seen = load.sent
    await until("new certificates are used", lambda: load.sent > seen + 50)
    door.put_authority(following)
    await is_let_in(old, wanted=False)

    seen = load.sent
    await until("the load goes on", lambda: load.sent > seen + 50)
    stop.set()
    await asyncio.gather(*running)
    assert not load.failures


async def test_a_broken_authority_is_said_and_the_one_before_it_goes_on(open_door: Door) -> None:
    door, client = open_door, open_door.clients.issue("web")
    door.router.api.put_secret("clients-ca", {"ca.crt": client.pem})
    message = await door.says("CertificateBroken")
    assert "CN=digits, is no authority" in message
    assert await door.lets_in(client)

    door.router.kill(door.router.agent)
    door.router.start_agent()
    await until("the agent is back", lambda: door.router.probe("readyz"))
    assert await door.lets_in(client)
    assert not await door.lets_in(None)


async def test_without_an_authority_the_door_is_closed_until_the_secret_appears_and_no_other(
    door: Door,
) -> None:
    other = Router(door.folder, door.router.api)
    spec = other.spec(WEIGHTS, tls={"secret": "digits-tls"})
    door.router.api.put_route("letters", {**spec, "model": "letters"})
    await door.router.start()
    await door.says("SecretNotFound")
    client = door.clients.issue("web")
    assert not await door.lets_in(client)
    load = Load()
    async with door.session(None) as session:
        await send(session, f"https://127.0.0.1:{other.port}", load)
    assert not load.failures

    door.put_authority(door.clients)
    await door.says("CertificateValid")
    await until("clients are let in", lambda: door.lets_in(client))
    assert not await door.lets_in(None)


async def test_where_a_certificate_is_optional_none_is_taken_and_a_strange_one_is_not(
    door: Door,
) -> None:
    door.put_authority(door.clients)
    door.ask(certificates="Optional")
    await door.router.start()
    assert await door.lets_in(None)
    assert await door.lets_in(door.clients.issue("web"))
    assert not await door.lets_in(Authority.make("others").issue("web"))
