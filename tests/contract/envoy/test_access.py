"""Who may call: real Envoy, real agent, keys, tokens and certificates."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.certificates import Authority
from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.envoy.model import Model
from tests.tokens import AUDIENCE, Issuer, hash_key
from tests.unit.agent.waiting import until

WEIGHTS = {STABLE: 100, CANDIDATE: 0}
KEYS = {"secretRef": {"name": "digits-keys"}}


def basic(name: str, key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{key}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@dataclass
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


@dataclass
class Door:
    """A router whose route asks who calls."""

    router: Router
    model: Model
    issuer: Issuer = field(default_factory=Issuer)

    def ask(self, **access: Any) -> None:
        self.router.ask(WEIGHTS, access=access)

    def put_keys(self, **keys: str) -> None:
        hashed = {name: hash_key(key) for name, key in keys.items()}
        self.router.api.put_secret("digits-keys", hashed)

    async def open(self) -> None:
        await self.router.start()

    async def call(self, headers: Mapping[str, str] | None = None, path: str = "") -> Answer:
        url = f"{self.router.url}{path or '/v2/models/digits/infer'}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=b"{}", headers=headers) as answer,
        ):
            return Answer(answer.status, await answer.text(), answer.headers)

    async def status(self, headers: Mapping[str, str] | None = None) -> int:
        return (await self.call(headers)).status

    async def turns(self, headers: Mapping[str, str], status: int) -> None:
        async def holds() -> bool:
            return await self.status(headers) == status

        await until(f"status {status}", holds)

    async def call_grpc(self, headers: Mapping[str, str] | None = None) -> grpc.StatusCode:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.router.port}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            metadata = tuple((headers or {}).items())
            try:
                await stub.ModelInfer(service_pb2.ModelInferRequest(id="7"), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                self.said = str(error.details())
                found: grpc.StatusCode = error.code()
                return found
        return grpc.StatusCode.OK

    async def says(self, reason: str, source: str = "Secret digits-keys") -> str:
        def found() -> dict[str, str]:
            entries = self.router.entry().get("credentials") or []
            return next((each for each in entries if each["source"] == source), {})

        await until(f"{reason} is said", lambda: found().get("reason") == reason)
        return found()["message"]

    async def denied(self) -> dict[int, int]:
        return {each.status: each.requests for each in (await self.router.counters()).denied}


@pytest.fixture
async def door(router: Router, models: tuple[Model, Model]) -> Door:
    """A running router, still open to anybody."""
    router.api.readable_secrets.add("digits-keys")
    router.api.readable_config_maps.add("issuer")
    return Door(router, models[0])


async def ask_for_keys(door: Door, **keys: str) -> None:
    door.put_keys(**keys)
    door.ask(apiKeys=KEYS)
    await door.turns({}, 401)


async def test_a_key_lets_its_caller_in_over_http_and_grpc_and_nobody_else(door: Door) -> None:
    await ask_for_keys(door, ci="secret-of-ci", web="secret-of-web")
    await door.says("CallersKnown")

    assert await door.status(basic("ci", "secret-of-ci")) == 200
    assert await door.status(basic("web", "secret-of-ci")) == 401
    assert await door.status(basic("nobody", "")) == 401
    assert await door.status(bearer("secret-of-ci")) == 401
    assert await door.call_grpc(basic("ci", "secret-of-ci")) is grpc.StatusCode.OK
    assert await door.call_grpc() is grpc.StatusCode.UNAUTHENTICATED
    assert door.said == "slipway router: no credentials that this model takes"
    assert await door.call_grpc(basic("ci", "wrong")) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_denial_has_the_form_of_tritons_errors_and_names_the_ways_in(door: Door) -> None:
    await ask_for_keys(door, ci="secret")
    denied = await door.call()
    assert json.loads(denied.text) == {
        "error": "slipway router: no credentials that this model takes"
    }
    assert denied.headers["www-authenticate"] == 'Basic realm="slipway"'

    door.ask(apiKeys={**KEYS, "names": ["web"]})
    await door.turns(basic("ci", "secret"), 403)
    stranger = await door.call(basic("ci", "secret"))
    assert json.loads(stranger.text) == {
        "error": "slipway router: the caller may not call this model"
    }
    assert await door.call_grpc(basic("ci", "secret")) is grpc.StatusCode.PERMISSION_DENIED
    assert door.said == "slipway router: the caller may not call this model"


async def test_the_model_learns_the_callers_name_and_no_key_and_nobody_can_forge_it(
    door: Door,
) -> None:
    await ask_for_keys(door, ci="secret")
    forged = {"x-slipway-caller": "admin", "x-slipway-key": "admin", "x-slipway-token": "admin"}
    assert await door.status(forged) == 401
    assert await door.status({**forged, **basic("ci", "secret")}) == 200

    seen = {name.lower(): value for name, value in door.model.headers_seen[-1].items()}
    assert seen["x-slipway-caller"] == "ci"
    assert seen.keys().isdisjoint({"authorization", "x-slipway-key", "x-slipway-token"})


async def test_a_revocation_under_load_ends_one_key_within_seconds_and_fails_no_other(
    door: Door,
) -> None:
    await ask_for_keys(door, ci="secret", web="other")
    stop, seen = asyncio.Event(), {"ci": [0, 0], "web": [0, 0]}
    opened: Counter[str] = Counter()

    async def keep_calling(name: str, key: str) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note(opened, name))
        connector = aiohttp.TCPConnector(limit=1)
        url = f"{door.router.url}/v2/models/digits/infer"
        async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
            while not stop.is_set():
                async with session.post(url, data=b"{}", headers=basic(name, key)) as answer:
                    await answer.read()
                    assert answer.status in (200, 401)
                    seen[name][answer.status == 401] += 1

    def has_called(name: str, index: int, count: int) -> bool:
        return seen[name][index] >= count

    callers = {"ci": "secret", "web": "other"}
    running = [asyncio.create_task(keep_calling(*each)) for each in callers.items()]
    await until("both call", lambda: has_called("ci", 0, 50) and has_called("web", 0, 50))
    door.put_keys(web="other")
    await until("ci is refused", partial(has_called, "ci", 1, 50))
    so_far = seen["web"][0]
    await until("web goes on", partial(has_called, "web", 0, so_far + 50))
    stop.set()
    await asyncio.gather(*running)

    assert seen["web"][1] == 0
    assert opened["web"] == 1, "a revocation closes no connection of another"


def _note(opened: Counter[str], name: str) -> Any:
    async def note(*_: object) -> None:
        opened[name] += 1

    return note


async def test_denials_are_counted_apart_and_are_evidence_against_nobody(door: Door) -> None:
    await ask_for_keys(door, ci="secret", web="other")
    door.ask(apiKeys={**KEYS, "names": ["ci"]}, rateLimit={"requestsPerSecond": 1, "burst": 2})
    await door.turns(basic("web", "other"), 403)
    before, denied = await door.router.counters_of(STABLE), await door.denied()

    assert [await door.status(basic("ci", "secret")) for _ in range(3)] == [200, 200, 429]
    for _ in range(4):
        await door.status()
        await door.call_grpc()
    await door.call_grpc(basic("web", "other"))

    async def counted() -> bool:
        found = await door.denied()
        more = {status: found.get(status, 0) - denied.get(status, 0) for status in (401, 403, 429)}
        return more == {401: 8, 403: 1, 429: 1}

    await until("denials are counted", counted)
    after = await door.router.counters_of(STABLE)
    assert (after.requests - before.requests, after.errors, after.client_errors) == (2, 0, 0)
    assert after.requests_begun - before.requests_begun == 2


async def test_one_caller_who_calls_too_often_is_slowed_down_alone(door: Door) -> None:
    door.put_keys(ci="secret", web="other")
    door.ask(apiKeys=KEYS, rateLimit={"requestsPerSecond": 1, "burst": 5})
    await door.turns({}, 401)
    found = [await door.status(basic("ci", "secret")) for _ in range(8)]
    assert found[:5] == [200] * 5
    assert 429 in found[5:]
    assert await door.call_grpc(basic("ci", "secret")) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await door.call(basic("ci", "secret"))).headers["retry-after"] == "1"
    assert await door.status(basic("web", "other")) == 200


async def test_a_missing_secret_lets_nobody_in_and_its_keys_are_taken_when_it_appears(
    door: Door,
) -> None:
    door.ask(apiKeys=KEYS)
    await door.says("SecretNotFound")
    await door.turns({}, 401)
    await door.turns(basic("ci", "secret"), 401)

    door.put_keys(ci="secret")
    await door.turns(basic("ci", "secret"), 200)
    await door.says("CallersKnown")

    door.router.api.delete("secrets", "digits-keys")
    await door.turns(basic("ci", "secret"), 401)


async def test_entries_that_are_no_hash_are_named_and_the_others_taken(door: Door) -> None:
    hashed = hash_key("secret")
    door.router.api.put_secret("digits-keys", {"ci": hashed + b"\n", "plain": b"my-key"})
    door.ask(apiKeys=KEYS)
    message = await door.says("KeysBroken")
    assert "plain: expected {SHA}" in message
    assert "my-key" not in message
    await door.turns({}, 401)
    await door.turns(basic("ci", "secret"), 200)
    assert await door.status(basic("plain", "my-key")) == 401


async def test_a_denial_needs_neither_operator_nor_agent(door: Door) -> None:
    await ask_for_keys(door, ci="secret")
    await door.router.api.stop()
    door.router.kill(door.router.agent)
    assert await door.status() == 401
    assert await door.status(basic("ci", "wrong")) == 401
    assert await door.status(basic("ci", "secret")) == 200


async def ask_for_tokens(door: Door, **more: Any) -> None:
    jwks = more.pop("jwks", {"configMapRef": {"name": "issuer", "key": "jwks.json"}})
    issued = {"issuer": door.issuer.name, "audiences": [AUDIENCE], "jwks": jwks, **more}
    door.ask(jwt=[issued])
    await door.turns({}, 401)


def put_key_set(door: Door, *issuers: Issuer) -> None:
    found = {"keys": [each.public_key for each in issuers]}
    door.router.api.put_config_map("issuer", {"jwks.json": json.dumps(found)})


async def test_a_token_lets_its_caller_in_over_http_and_grpc(door: Door) -> None:
    put_key_set(door, door.issuer)
    await ask_for_tokens(door)
    await door.turns(bearer(door.issuer.token()), 200)
    assert await door.call_grpc(bearer(door.issuer.token())) is grpc.StatusCode.OK
    assert door.model.headers_seen[-1]["x-slipway-caller"] == "team-a"
    assert "Authorization" not in door.model.headers_seen[-1]
    assert (await door.call()).headers["www-authenticate"] == 'Bearer realm="slipway"'


async def test_a_token_that_is_not_good_now_and_here_is_refused(door: Door) -> None:
    put_key_set(door, door.issuer)
    await ask_for_tokens(door)
    await door.turns(bearer(door.issuer.token()), 200)

    issuer = door.issuer
    refused = {
        "expired": issuer.token(seconds=-120),
        "in the future": issuer.token(begins_in=600),
        "of another issuer": Issuer("https://other.example.org").token(),
        "by another key": issuer.rotated("first").token(),
        "by an unknown key": issuer.rotated("second").token(),
        "without a subject": issuer.token(None),
        "without an end": issuer.token(seconds=None),
        "no token": "x.y.z",
        "nothing": "",
    }
    assert {what: await door.status(bearer(token)) for what, token in refused.items()} == (
        dict.fromkeys(refused, 401)
    )
    elsewhere = bearer(issuer.token(audience="letters.vision.svc"))
    assert await door.status(elsewhere) == 403
    assert await door.call_grpc(elsewhere) is grpc.StatusCode.PERMISSION_DENIED
    codes = {await door.call_grpc(bearer(token)) for token in refused.values() if token}
    assert codes == {grpc.StatusCode.UNAUTHENTICATED}


async def test_subjects_and_claims_say_which_tokens_may_call(door: Door) -> None:
    put_key_set(door, door.issuer)
    claims = [
        {"path": ["groups"], "values": ["ml", "web"]},
        {"path": ["realm", "tier"], "values": ["gold"]},
    ]
    await ask_for_tokens(door, subjects=["team-*", "robot"], claims=claims)
    good: dict[str, Any] = {"groups": ["all", "ml"], "realm": {"tier": "gold"}}
    await door.turns(bearer(door.issuer.token("team-a", **good)), 200)

    token = door.issuer.token
    let_in = [token("robot", **good), token("team-b", **{**good, "groups": "web"})]
    refused = [
        token("robots", **good),
        token("team-a"),
        token("team-a", **{**good, "groups": ["all"]}),
        token("team-a", **{**good, "realm": {"tier": "silver"}}),
        token("team-a", **{**good, "realm": "gold"}),
    ]
    assert [await door.status(bearer(each)) for each in let_in] == [200] * 2
    assert [await door.status(bearer(each)) for each in refused] == [403] * 5


@dataclass
class JwksServer:
    """Offers a key set, or what a test says, at an address."""

    body: bytes = b""
    status: int = 200
    asked: int = 0
    url: str = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, body=self.body)


@pytest.fixture
async def jwks() -> AsyncIterator[JwksServer]:
    server, application = JwksServer(), web.Application()
    application.router.add_get("/jwks", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield server
    await runner.cleanup()


async def test_keys_at_an_address_that_is_down_are_awaited_and_go_on_when_it_breaks(
    door: Door, jwks: JwksServer
) -> None:
    jwks.status = 503
    await ask_for_tokens(door, jwks={"url": jwks.url})
    source, good = f"JWKS of {door.issuer.name}", bearer(door.issuer.token())
    assert "no token of it is taken" in await door.says("KeySetUnreachable", source)
    await door.turns(good, 401)

    jwks.body, jwks.status = json.dumps(door.issuer.key_set()).encode(), 200
    await door.turns(good, 200)
    await door.says("CallersKnown", source)


async def test_a_huge_key_set_is_not_taken(door: Door, jwks: JwksServer) -> None:
    jwks.body = json.dumps({**door.issuer.key_set(), "more": "x" * 2**24}).encode()
    await ask_for_tokens(door, jwks={"url": jwks.url})
    message = await door.says("KeySetBroken", f"JWKS of {door.issuer.name}")
    assert "larger than 256 KiB" in message
    assert await door.status(bearer(door.issuer.token())) == 401


async def test_keys_are_rotated_under_load_without_a_token_refused(door: Door) -> None:
    following, stop = door.issuer.rotated("second"), asyncio.Event()
    put_key_set(door, door.issuer)
    await ask_for_tokens(door)
    await door.turns(bearer(door.issuer.token()), 200)
    seen: list[int] = []

    async def keep_calling() -> None:
        while not stop.is_set():
            seen.append(
                await door.status(bearer((following if takes_new else door.issuer).token()))
            )

    takes_new = False
    running = asyncio.create_task(keep_calling())
    put_key_set(door, door.issuer, following)
    await door.turns(bearer(following.token()), 200)
    takes_new = True
    so_far = len(seen)
    await until("the new key signs", lambda: len(seen) > so_far + 20)
    put_key_set(door, following)
    await door.turns(bearer(door.issuer.token()), 401)
    stop.set()
    await running
    assert set(seen) == {200}


async def test_a_broken_key_set_is_said_and_the_keys_before_it_go_on(door: Door) -> None:
    put_key_set(door, door.issuer)
    await ask_for_tokens(door)
    await door.turns(bearer(door.issuer.token()), 200)
    source = f"JWKS of {door.issuer.name}"
    door.router.api.put_config_map("issuer", {"jwks.json": "<html>"})
    assert "the keys before it go on" in await door.says("KeySetBroken", source)
    assert await door.status(bearer(door.issuer.token())) == 200


async def test_keys_go_on_while_the_agent_and_the_api_server_are_away(door: Door) -> None:
    put_key_set(door, door.issuer)
    await ask_for_tokens(door)
    await door.turns(bearer(door.issuer.token()), 200)
    door.router.kill(door.router.agent)
    await door.router.api.stop()
    await asyncio.sleep(5)  # two times as long as Envoy takes to ask for keys again
    assert await door.status(bearer(door.issuer.token())) == 200
    assert await door.status(bearer(door.issuer.rotated("first").token())) == 401


async def test_service_accounts_of_the_cluster_are_known_by_its_keys(door: Door) -> None:
    cluster = Issuer("https://kubernetes.default.svc")
    door.router.api.key_set = cluster.key_set()
    allowed = [{"namespace": "vision", "name": "web"}, {"namespace": "batch"}]
    door.ask(serviceAccounts={"audiences": [AUDIENCE], "allowed": allowed})

    def account(namespace: str, name: str, **more: Any) -> dict[str, str]:
        return bearer(cluster.token(f"system:serviceaccount:{namespace}:{name}", **more))

    await door.turns({}, 401)
    await door.turns(account("vision", "web"), 200)
    await door.says("CallersKnown", "JWKS of the cluster")
    assert await door.status(account("batch", "any")) == 200
    assert await door.status(account("vision", "other")) == 403
    assert await door.status(account("batches", "any")) == 403
    assert await door.status(account("vision", "web", audience="https://kubernetes")) == 403
    assert await door.status(bearer(Issuer().token("system:serviceaccount:vision:web"))) == 401


async def test_any_one_of_several_ways_will_do(door: Door) -> None:
    door.put_keys(ci="secret")
    put_key_set(door, door.issuer)
    issued = {
        "issuer": door.issuer.name,
        "audiences": [AUDIENCE],
        "jwks": {"configMapRef": {"name": "issuer"}},
    }
    door.ask(apiKeys=KEYS, jwt=[issued])
    await door.turns({}, 401)
    await door.turns(bearer(door.issuer.token()), 200)
    assert await door.status(basic("ci", "secret")) == 200
    assert await door.status() == 401
    assert await door.status(basic("ci", "wrong")) == 401
    assert await door.status(bearer("wrong")) == 401


async def test_one_models_callers_are_no_matter_of_another(door: Door) -> None:
    await ask_for_keys(door, ci="secret")
    other = Router(door.router.directory, door.router.api)
    door.router.api.put_route("letters", {**other.spec(WEIGHTS), "model": "letters"})

    async def is_open() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return await Door(other, door.model).status() == 200
        return False

    await until("the other model is open", is_open)
    assert await door.status() == 401


@dataclass
class Certified(Door):
    """A door that knows callers by their certificates."""

    servers: Authority = field(default_factory=Authority.make)
    clients: Authority = field(default_factory=lambda: Authority.make("clients"))

    async def ask_over_tls(self, certificates: str, **access: Any) -> None:
        api = self.router.api
        api.readable_secrets |= {"digits-tls", "clients-ca"}
        api.put_secret("digits-tls", self.servers.issue().secret)
        api.put_secret("clients-ca", {"ca.crt": self.clients.pem})
        clients = {"secret": "clients-ca", "certificates": certificates}
        tls = {"secret": "digits-tls", "clients": clients}
        self.router.ask(WEIGHTS, tls=tls, access=access)

    async def call_tls(self, headers: Mapping[str, str], *names: str) -> int | str:
        context = ssl.create_default_context(cadata=self.servers.pem.decode())
        if names:
            client = self.clients.issue(*names)
            file = self.router.directory / "client.pem"
            file.write_bytes(client.pem + client.key_pem)
            context.load_cert_chain(file)

        url = f"https://127.0.0.1:{self.router.port}/v2/models/digits/infer"
        connector = aiohttp.TCPConnector(ssl=context)
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.post(url, data=b"{}", headers=headers) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, OSError):
            return "closed"


@pytest.fixture
async def certified(door: Door) -> Certified:
    door.put_keys(ci="secret")
    return Certified(door.router, door.model)


async def test_a_certificate_or_a_key_will_do_where_the_certificate_is_optional(
    certified: Certified,
) -> None:
    await certified.ask_over_tls("Optional", apiKeys=KEYS)

    async def is_in() -> bool:
        return await certified.call_tls({}, "web.vision.svc") == 200

    await until("certificates are taken", is_in)
    assert certified.model.headers_seen[-1]["x-slipway-caller"] == "web.vision.svc"
    assert await certified.call_tls(basic("ci", "secret")) == 200
    assert await certified.call_tls({}) == 401


async def test_a_certificate_and_a_key_are_needed_where_the_certificate_is_required(
    certified: Certified,
) -> None:
    await certified.ask_over_tls("Required", apiKeys=KEYS)

    async def is_in() -> bool:
        return await certified.call_tls(basic("ci", "secret"), "web.vision.svc") == 200

    await until("both are taken", is_in)
    assert certified.model.headers_seen[-1]["x-slipway-caller"] == "ci"
    assert await certified.call_tls({}, "web.vision.svc") == 401
    assert await certified.call_tls(basic("ci", "secret")) == "closed"


async def test_a_caller_with_a_certificate_alone_has_a_limit_of_its_own(
    certified: Certified,
) -> None:
    limit = {"requestsPerSecond": 1, "burst": 3}
    await certified.ask_over_tls("Required", rateLimit=limit)

    async def is_in() -> bool:
        return await certified.call_tls({}, "probe.vision.svc") == 200

    await until("certificates are taken", is_in)
    found = [await certified.call_tls({}, "web.vision.svc") for _ in range(6)]
    assert found[:3] == [200] * 3
    assert 429 in found[3:]
    assert await certified.call_tls({}, "other.vision.svc") == 200


async def test_a_log_that_is_asked_for_has_one_line_of_json_per_request_and_no_key(
    door: Door,
) -> None:
    door.put_keys(ci="secret-of-ci")
    door.ask(apiKeys=KEYS, log="Requests")
    await door.turns({}, 401)
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    query = "/v2/models/digits/infer?token=secret"
    assert (await door.call({**basic("ci", "secret-of-ci"), **trace}, query)).status == 200
    await door.call_grpc(basic("ci", "secret-of-ci"))

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in door.router.output() if line.startswith("{")]

    def served() -> list[dict[str, Any]]:
        return [line for line in lines() if line["caller"] == "ci"]

    await until("requests are written down", lambda: len(served()) >= 2)
    http, grpc_line = served()[:2]
    assert http["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (http["route"], http["revision"], http["status"]) == ("digits", STABLE, 200)
    assert (http["method"], http["path"]) == ("POST", "/v2/models/digits/infer")
    assert (http["bytesIn"], http["bytesOut"] > 0, http["millis"] >= 0) == (2, True, True)
    assert (grpc_line["grpcStatus"], grpc_line["traceId"]) == (0, None)
    # Requests that came before Envoy had the keys may be among the lines, with status 200.
    assert [line["status"] for line in lines() if line["caller"] is None][-1] == 401
    assert "secret" not in "".join(door.router.output())
