"""TLS at the router: real Envoy, real agent, real certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
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

SECRET = "digits-tls"  # noqa: S105 -- a name


@dataclass
class Door:
    """A router whose route wants TLS, and the authority that its clients trust."""

    router: Router
    authority: Authority
    folder: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.router.port}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.pem.decode())

    def put(self, issued: Issued, secret: str = SECRET) -> None:
        self.router.api.put_secret(secret, issued.secret)

    def shown(self) -> bytes:
        """Return the certificate that a client is shown."""
        text = ssl.get_server_certificate(("127.0.0.1", self.router.port), timeout=5)
        return text.encode()

    async def shows(self, issued: Issued) -> None:
        async def holds() -> bool:
            try:
                shown = await asyncio.to_thread(self.shown)
            except OSError:
                return False
            return shown.split() == issued.pem.split()

        await until("the certificate is shown", holds)

    async def says(self, reason: str) -> dict[str, str]:
        def found() -> dict[str, str]:
            entries = self.router.entry().get("credentials") or [{}]
            return dict(entries[0])

        await until(f"{reason} is said", lambda: found().get("reason") == reason)
        return found()

    async def send(self, count: int = 1) -> Load:
        load = Load()
        connector = aiohttp.TCPConnector(ssl=self.trust())
        async with aiohttp.ClientSession(connector=connector) as session:
            for _ in range(count):
                await send(session, self.url, load)
        return load


@pytest.fixture
async def door(tmp_path: Path, api: FakeApi, models: tuple[Model, Model]) -> AsyncIterator[Door]:
    router = Router(tmp_path, api)
    door = Door(router, Authority.make(), tmp_path)
    for model in models:
        router.serve(model)
    api.readable_secrets.add(SECRET)
    router.ask({STABLE: 100, CANDIDATE: 0}, tls={"secret": SECRET})
    yield door
    router.stop()


@pytest.fixture
async def open_door(door: Door) -> Door:
    door.put(door.authority.issue())
    await door.router.start()
    return door


async def test_http_1_and_2_and_grpc_share_one_encrypted_port(open_door: Door) -> None:
    door = open_door
    assert not (await door.send(3)).failures

    authority = door.folder / "authority.pem"
    authority.write_bytes(door.authority.pem)
    curl = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--http2", "--cacert", str(authority), "--data", "{}", "--write-out",
        " %{http_version}", f"{door.url}/v2/models/digits/infer", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    answer, _ = await curl.communicate()
    assert answer.endswith(b" 2")

    trusted = grpc.ssl_channel_credentials(door.authority.pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{door.router.port}", trusted) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        found = await stub.ModelInfer(service_pb2.ModelInferRequest(model_name="digits", id="7"))
    assert found.id == "7"


async def test_a_renewal_under_load_fails_no_request_and_closes_no_connection(
    open_door: Door, models: tuple[Model, Model]
) -> None:
    door, load, stop = open_door, Load(), asyncio.Event()
    opened: list[str] = []
    models[0].delay_seconds = 0.01

    async def note_connection(*_: object) -> None:
        opened.append("kept alive")

    async def keep_alive() -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(note_connection)
        connector = aiohttp.TCPConnector(ssl=door.trust(), limit=1)
        async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
            while not stop.is_set():
                await send(session, door.url, load)

    async def connect_anew() -> None:
        while not stop.is_set():
            found = await door.send()
            load.revisions += found.revisions
            load.failures += found.failures

    def has_sent(count: int) -> bool:
        return load.sent >= count

    running = [asyncio.create_task(each()) for each in (keep_alive, keep_alive, connect_anew)]
    for renewals in range(1, 6):
        renewed = door.authority.issue(days=20 + renewals)
        door.put(renewed)
        await door.shows(renewed)
        await until("the load goes on", partial(has_sent, 40 * renewals))
    stop.set()
    await asyncio.gather(*running)

    assert not load.failures
    assert len(opened) == 2


async def test_a_request_that_is_under_way_outlives_a_renewal(
    open_door: Door, models: tuple[Model, Model]
) -> None:
    door = open_door
    models[0].delay_seconds = 3.0
    running = asyncio.create_task(door.send())
    await until("the request is under way", lambda: bool(models[0].headers_seen))

    renewed = door.authority.issue(days=20)
    door.put(renewed)
    await door.shows(renewed)
    assert not running.done()
    assert not (await running).failures


async def test_a_broken_renewal_is_said_and_the_certificate_before_it_goes_on(
    open_door: Door,
) -> None:
    door, good, other = open_door, open_door.shown(), open_door.authority.issue()
    door.router.api.put_secret(SECRET, {"tls.crt": other.pem, "tls.key": door.authority.key_pem})
    said = await door.says("CertificateBroken")
    assert "tls.key is not the key of the first certificate" in said["message"]
    assert "the one before it is served" in said["message"]
    assert door.shown() == good

    # An agent that starts anew beside the same Envoy knows what it served.
    door.router.kill(door.router.agent)
    door.router.start_agent()
    await until("the agent is back", lambda: door.router.probe("readyz"))
    assert not (await door.send(3)).failures
    assert door.shown() == good


async def test_a_secret_that_is_missing_opens_the_port_when_it_appears(door: Door) -> None:
    await door.router.start()
    await door.says("SecretNotFound")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(door.shown)

    issued = door.authority.issue()
    door.put(issued)
    await door.shows(issued)
    await door.says("CertificateValid")
    assert not (await door.send(3)).failures


async def test_a_secret_that_the_role_does_not_name_is_said_to_be_unreadable(door: Door) -> None:
    door.put(door.authority.issue())
    door.router.api.readable_secrets.clear()
    await door.router.start()
    said = await door.says("SecretUnreadable")
    assert "slipway-router may not list and watch it" in said["message"]

    door.router.api.readable_secrets.add(SECRET)
    await door.says("CertificateValid")


async def test_a_broken_certificate_takes_no_other_model_of_the_namespace_down(
    door: Door,
) -> None:
    door.router.api.put_secret(SECRET, {"tls.crt": b"nothing", "tls.key": b"nothing"})
    other = Router(door.folder, door.router.api)
    spec = other.spec({STABLE: 100, CANDIDATE: 0})
    door.router.api.put_route("letters", {**spec, "model": "letters"})
    await door.router.start()
    await door.says("CertificateBroken")

    load = Load()
    async with aiohttp.ClientSession() as session:
        await send(session, other.url, load)
    assert not load.failures


async def test_one_port_takes_both_where_plaintext_is_allowed_and_else_only_tls(
    open_door: Door,
) -> None:
    door = open_door
    async with aiohttp.ClientSession() as session:
        refused = Load()
        await send(session, door.router.url, refused)
        assert refused.failures.total() == 1

        both = {"secret": SECRET, "plaintext": True}
        door.router.ask({STABLE: 100, CANDIDATE: 0}, tls=both)
        await door.router.in_force({STABLE: 100, CANDIDATE: 0})

        async def is_taken() -> bool:
            plain = Load()
            await send(session, door.router.url, plain)
            return not plain.failures

        await until("plaintext is taken", is_taken)
    assert not (await door.send(3)).failures


async def test_an_older_version_of_tls_than_the_minimum_is_refused(door: Door) -> None:
    strict = {"secret": SECRET, "minVersion": "VersionTLS13"}
    door.router.ask({STABLE: 100, CANDIDATE: 0}, tls=strict)
    door.put(door.authority.issue())
    await door.router.start()

    old, new = door.trust(), door.trust()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for context, works in ((old, False), (new, True)):
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            load = Load()
            await send(session, door.url, load)
        assert (not load.failures) is works
