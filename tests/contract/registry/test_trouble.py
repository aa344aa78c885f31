"""Registries and networks that make trouble: cut uploads, 503s, tokens, refusals."""

import base64
import json
import os

import pytest
from slipway.api.reasons import Reason
from slipway.api.result import EXIT_OK, EXIT_PERMANENT, EXIT_TRANSIENT
from slipway.settings import RegistryAccess

from tests.contract.registry import servers
from tests.contract.registry.bench import FAST, Bench, a_model
from tests.ports import free_port

LARGE = 5_000_000
BASIC = "Basic " + base64.b64encode(b"robot:secret-word").decode()


def through(bench: Bench, server: servers.RecordingServer) -> list[RegistryAccess]:
    return [RegistryAccess(host=bench.registry, endpoint=server.host, plain_http=True)]


def write_secret(bench: Bench, host: str) -> None:
    bench.places.push_secret.mkdir()
    entry = {"auth": BASIC.removeprefix("Basic ")}
    secret = bench.places.push_secret / ".dockerconfigjson"
    secret.write_text(json.dumps({"auths": {host: entry}}))


def test_a_cut_upload_goes_on_where_it_stopped(bench: Bench) -> None:
    model = os.urandom(LARGE)
    bench.shelf.files["/digits.plan"] = model
    gate = servers.Gate(bench.registry, cut_uploads_after=[3_000_000])

    with servers.serving(gate) as server:
        result = bench.package("/digits.plan", registries=through(bench, server))

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    resumed = server.requests("PATCH")[1]
    assert resumed.received < LARGE - 2_000_000, "it began anew"
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == model


@pytest.mark.parametrize("cut_after", [0, 700_000])
def test_an_upload_that_the_registry_forgot_begins_anew(bench: Bench, cut_after: int) -> None:
    model = os.urandom(1_000_000)
    bench.shelf.files["/digits.plan"] = model
    gate = servers.Gate(bench.registry, cut_uploads_after=[cut_after] * 2, remembers=False)

    with servers.serving(gate) as server:
        result = bench.package("/digits.plan", registries=through(bench, server))

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    assert bench.pull(result.image or "").file("models/digits/1/model.plan") == model


def test_passing_trouble_of_the_registry_is_waited_out(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(31)
    gate = servers.Gate(bench.registry, unavailable=FAST.attempts - 1)

    with servers.serving(gate) as server:
        result = bench.package("/digits.onnx", registries=through(bench, server))

    assert (bench.exit_code, result.error) == (EXIT_OK, None)


def test_a_registry_that_stays_away_ends_the_attempt_not_the_job(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()
    gone = [
        RegistryAccess(host=bench.registry, endpoint=f"127.0.0.1:{free_port()}", plain_http=True)
    ]

    result = bench.package("/digits.onnx", registries=gone)

    assert bench.exit_code == EXIT_TRANSIENT
    assert result.error is not None
    assert (result.error.reason, result.error.transient) == (Reason.REGISTRY_UNAVAILABLE, True)


def test_a_token_is_fetched_with_the_secret_and_sent_with_every_request(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(37)
    write_secret(bench, bench.registry)
    gate = servers.Gate(bench.registry, ticket="t0ken", basic=BASIC)

    with servers.serving(gate) as server:
        fresh = f"{bench.registry}/models/token"
        result = bench.package("/digits.onnx", repository=fresh, registries=through(bench, server))

    assert (bench.exit_code, result.error) == (EXIT_OK, None)
    scopes = {seen.path.partition("scope=")[2] for seen in server.requests("GET", "/token?")}
    assert "repository%3Amodels%2Ftoken%3Apull%2Cpush" in scopes
    assert len(server.requests("GET", "/token?")) <= 4, "one per set of rights"


def test_a_secret_for_another_host_is_never_sent(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(41)
    write_secret(bench, "registry.example.com")
    gate = servers.Gate(bench.registry, ticket="t0ken", basic=BASIC)

    with servers.serving(gate) as server:
        result = bench.package("/digits.onnx", registries=through(bench, server))

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert result.error.reason == Reason.REGISTRY_REFUSED
    assert "no credentials found" in result.error.message
    assert not any("authorization" in seen.headers for seen in server.seen)


def test_a_refusal_shows_the_registrys_words_and_no_secret(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(43)
    write_secret(bench, bench.registry)
    denied = {"errors": [{"code": "DENIED", "message": "push is for maintainers"}]}

    def handle(talk: servers.Conversation, seen: servers.Seen) -> None:
        if talk.command == "POST":
            talk.answer(403, body=json.dumps(denied).encode())
        else:
            servers.Gate(bench.registry)(talk, seen)

    with servers.serving(handle) as server:
        fresh = f"{bench.registry}/models/denied"
        result = bench.package("/digits.onnx", repository=fresh, registries=through(bench, server))

    assert bench.exit_code == EXIT_PERMANENT
    assert result.error is not None
    assert "status 403, DENIED: push is for maintainers" in result.error.message
    assert "secret-word" not in result.model_dump_json()


def test_plain_http_is_for_listed_hosts_only(bench: Bench) -> None:
    bench.shelf.files["/digits.onnx"] = a_model()

    result = bench.package("/digits.onnx", registries=[])

    assert result.error is not None, "it talked http to a host that nobody listed"
    assert result.error.reason == Reason.REGISTRY_UNAVAILABLE


@pytest.mark.parametrize("status", [301, 307])
def test_a_blob_that_lies_elsewhere_is_read_there_without_our_token(
    bench: Bench, status: int
) -> None:
    bench.shelf.files["/digits.onnx"] = a_model(47 + status)
    plain = servers.Gate(bench.registry)
    write_secret(bench, bench.registry)
    gate = servers.Gate(bench.registry, ticket="t0ken", basic=BASIC)
    with servers.serving(plain) as store:

        def handle(talk: servers.Conversation, seen: servers.Seen) -> None:
            is_blob = talk.command == "GET" and "/blobs/sha256:" in talk.path
            if is_blob and "authorization" in seen.headers:
                talk.answer(status, {"Location": f"http://{store.host}{talk.path}"})
            else:
                gate(talk, seen)

        with servers.serving(handle) as server:
            result = bench.package("/digits.onnx", registries=through(bench, server))

        assert (bench.exit_code, result.error) == (EXIT_OK, None)
        assert store.seen
        assert not any("authorization" in seen.headers for seen in store.seen)
