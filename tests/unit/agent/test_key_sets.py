"""Sets of public keys, as they are read from where they are."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from slipway.agent.key_sets import (
    MOST_BYTES,
    BrokenKeySet,
    KeySetAddress,
    KeySetReader,
    KeySets,
    parse_key_set,
)
from slipway.errors import DependencyError

from tests.certificates import Authority
from tests.tokens import Issuer
from tests.unit.agent.waiting import until

ISSUER = Issuer()
URL = "https://issuer.example.org/keys"
ADDRESS = KeySetAddress(URL)
PRIVATE = {**ISSUER.public_key, "d": "AQAB"}


def a_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_that_can_check_a_token_are_kept_and_no_others() -> None:
    rsa = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
    others = [
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": "AQAB"},
        {"kty": "new"},
        "no key",
    ]
    found = json.loads(parse_key_set(a_set(ISSUER.public_key, rsa, *others)))
    assert found == {"keys": [ISSUER.public_key, rsa]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "expected JSON of the form"),
        (b"{}", "expected JSON of the form"),
        (b'{"keys": {}}', "expected JSON of the form"),
        (a_set(), "no public key of RSA, EC or Ed25519 in it, of 0 entries"),
        (a_set({"kty": "new"}), "of 1 entries"),
        (a_set(ISSUER.public_key, PRIVATE), "private or a shared key"),
        (a_set({"kty": "oct", "k": "AQAB"}), "private or a shared key"),
        (b" " * (MOST_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_what_is_no_set_of_public_keys_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BrokenKeySet, match=said):
        parse_key_set(body)


class Source:
    """Answers what a test says, and shows how long the reader pauses."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.pauses: list[float] = []
        self.sets = KeySets(self._read, lambda: None, self._sleep)

    async def _read(self, _: KeySetAddress) -> bytes:
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def after(self, *answers: bytes | Exception) -> None:
        wanted = len(self.pauses) + len(answers)
        for answer in answers:
            self.answers.put_nowait(answer)
        await until("all were read", lambda: len(self.pauses) >= wanted)


async def test_a_source_that_fails_leaves_the_keys_before_and_is_asked_again_sooner() -> None:
    source = Source()
    source.sets.follow({ADDRESS})
    assert not source.sets.get(ADDRESS).is_known

    await source.after(DependencyError("status 503"))
    found = source.sets.get(ADDRESS)
    assert (found.is_known, found.text, found.problem) == (True, None, "status 503")

    good = a_set(ISSUER.public_key)
    await source.after(good, DependencyError("down"), b"<html>")
    found = source.sets.get(ADDRESS)
    assert found.text == parse_key_set(good)
    assert (found.problem, found.is_broken) == ("no JSON", True)
    assert source.pauses == [1.0, 60.0, 1.0, 2.0]

    following = a_set(ISSUER.rotated("second").public_key)
    await source.after(following)
    assert source.sets.get(ADDRESS).text == parse_key_set(following)
    assert source.sets.get(ADDRESS).problem is None
    await source.sets.close()


async def test_a_source_that_no_route_names_any_more_is_forgotten() -> None:
    source = Source()
    source.sets.follow({ADDRESS})
    await source.after(a_set(ISSUER.public_key))
    source.sets.follow(set())
    source.sets.follow({ADDRESS})
    assert not source.sets.get(ADDRESS).is_known
    await source.sets.close()


# ── private authorities ──


@contextlib.asynccontextmanager
async def private_issuer(authority: Authority, folder: Path) -> AsyncIterator[str]:
    """Serve a key set under a certificate of the authority, and give its address."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=a_set(ISSUER.public_key))

    application = web.Application()
    application.router.add_get("/keys", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    context = authority.server_context(folder)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/keys"
    await runner.cleanup()


async def test_an_address_is_trusted_by_the_certificates_that_are_given_and_no_others(
    tmp_path: Path,
) -> None:
    private, other = Authority.make("company"), Authority.make("other")
    wrong = {
        None: "certificate verify failed",
        other.pem.decode(): "certificate verify failed",
        "<html>": "no certificates in PEM to trust",
    }
    reader = KeySetReader(no_cluster)
    async with private_issuer(private, tmp_path) as url:
        found = await reader.read(KeySetAddress(url, private.pem.decode()))
        assert parse_key_set(found) == parse_key_set(a_set(ISSUER.public_key))
        for trusted, said in wrong.items():
            with pytest.raises(DependencyError, match=said):
                await reader.read(KeySetAddress(url, trusted))
    await reader.close()


async def no_cluster() -> bytes:
    raise AssertionError("the cluster's own keys were asked for")
