"""Sets of public keys (JWKS) that tokens are checked by, read once a minute from where they are.

While a source is down or broken, the keys that were read before go on.
"""

import asyncio
import base64
import binascii
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import aiohttp

from slipway.errors import DependencyError

log = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024
MOST_KEYS = 100
REFRESH_SECONDS = 60.0
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, REFRESH_SECONDS)
"""After so many failures in a row; the last one repeats."""
TIMEOUT_SECONDS = 5.0
_NEEDED = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""By the type of a key: what it must have."""
_NAMES = {"crv"}
"""Members that are no numbers in base64."""
_SECRET = {"d", "k", "p", "q", "dp", "dq", "qi", "oth"}
"""Members that make a key private."""


@dataclass(frozen=True, slots=True)
class KeySetAddress:
    """Where a key set is read."""

    url: str
    authority: str | None = None
    """Certificates to trust, in PEM; None: the public authorities."""

    def __str__(self) -> str:
        """Return the address without the certificates."""
        return self.url


CLUSTER = KeySetAddress("the cluster")
"""Stands for the address of the cluster's own keys, those of service accounts."""


class BrokenKeySet(Exception):
    """What was read is no set of public keys; the message says why."""


class KeySetUnreachable(DependencyError):
    """The source of a key set does not answer."""


@dataclass(frozen=True, slots=True)
class KeySetContent:
    """What is known of a key set."""

    is_known: bool = False
    """The source was asked, with whatever answer."""
    text: str | None = None
    """The newest set that could be used."""
    problem: str | None = None
    """Why the newest answer cannot be used; None: it can."""
    is_broken: bool = False
    """There was an answer."""


def parse_key_set(body: bytes) -> str:
    """Return the keys of a set by which a token can be checked, as JSON.

    Raises:
        BrokenKeySet: with found and expected.

    """
    if len(body) > MOST_BYTES:
        raise BrokenKeySet(f"larger than {MOST_BYTES // 1024} KiB")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BrokenKeySet("no JSON") from error

    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise BrokenKeySet('expected JSON of the form {"keys": [...]}')
    if any(isinstance(key, dict) and _SECRET & key.keys() for key in keys):
        raise BrokenKeySet("it holds a private or a shared key: replace that key, it is known now")

    usable = [key for key in keys[:MOST_KEYS] if isinstance(key, dict) and _can_check(key)]
    if not usable:
        raise BrokenKeySet(f"no public key of RSA, EC or Ed25519 in it, of {len(keys)} entries")
    return json.dumps({"keys": usable})


def count_keys(text: str) -> int:
    """Return how many keys a set has that `parse_key_set` returned."""
    return len(json.loads(text)["keys"])


def _can_check(key: Mapping[str, Any]) -> bool:
    members = _NEEDED.get(str(key.get("kty")))
    if members is None or key.get("use", "sig") != "sig":
        return False
    return all(_is_member(name, key.get(name)) for name in members)


def _is_member(name: str, value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        return name in _NAMES or bool(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    except (binascii.Error, ValueError):
        return False


class KeySetReader:
    """Reads key sets from the web, and the cluster's own from the API server."""

    def __init__(self, read_of_cluster: Callable[[], Awaitable[bytes]]) -> None:
        """`read_of_cluster` reads the keys of the cluster's own tokens."""
        self._read_of_cluster = read_of_cluster
        self._session: aiohttp.ClientSession | None = None

    async def read(self, source: KeySetAddress) -> bytes:
        """Return what a source answers, at most one byte more than a set may have.

        Raises:
            DependencyError: it does not answer with status 200 in time.

        """
        if source == CLUSTER:
            return await self._read_of_cluster()
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)

        trust = _trust(source.authority)
        try:
            # A redirection would be followed to anywhere, with what the address was trusted for.
            async with self._session.get(source.url, allow_redirects=False, ssl=trust) as answer:
                if answer.status != 200:  # noqa: PLR2004 -- the status itself
                    raise KeySetUnreachable(f"status {answer.status}")
                return await _read_at_most(answer.content, MOST_BYTES + 1)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one
            problem = str(error) or type(error).__name__
            raise KeySetUnreachable(problem) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


@lru_cache(maxsize=64)
def _trust(authority: str | None) -> ssl.SSLContext | bool:
    """Return what a connection trusts; the public authorities are no part of a private one."""
    if authority is None:
        return True
    try:
        return ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise KeySetUnreachable(f"no certificates in PEM to trust: {error}") from error


async def _read_at_most(content: aiohttp.StreamReader, limit: int) -> bytes:
    found = bytearray()
    async for chunk in content.iter_any():
        found += chunk
        if len(found) >= limit:
            break
    return bytes(found[:limit])


class KeySets:
    """Follows key sets for as long as some route names them."""

    def __init__(
        self,
        read: Callable[[KeySetAddress], Awaitable[bytes]],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`changed` is called whenever more or something else is known."""
        self._read = read
        self._changed = changed
        self._sleep = sleep
        self._found: dict[KeySetAddress, KeySetContent] = {}
        self._tasks: dict[KeySetAddress, asyncio.Task[None]] = {}

    def follow(self, sources: Collection[KeySetAddress]) -> None:
        """Follow these and no others."""
        for source in self._tasks.keys() - set(sources):
            self._tasks.pop(source).cancel()
            del self._found[source]

        for source in set(sources) - self._tasks.keys():
            self._found[source] = KeySetContent()
            self._tasks[source] = asyncio.create_task(self._follow(source))

    def get(self, source: KeySetAddress) -> KeySetContent:
        """Return what is known of a set that is followed."""
        return self._found[source]

    async def close(self) -> None:
        """Follow none any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, source: KeySetAddress) -> None:
        failures = 0
        while True:
            newest = await self._look(source)
            failures = failures + 1 if newest.problem is not None else 0
            if newest != self._found.get(source):
                self._found[source] = newest
                self._changed()
            pause = PAUSES[min(failures, len(PAUSES)) - 1] if failures else REFRESH_SECONDS
            await self._sleep(pause)

    async def _look(self, source: KeySetAddress) -> KeySetContent:
        known = self._found[source]
        try:
            return KeySetContent(is_known=True, text=parse_key_set(await self._read(source)))
        except BrokenKeySet as error:
            return replace(known, is_known=True, problem=str(error), is_broken=True)
        except DependencyError as error:
            log.warning("the key set of %s: %s", source, error)
            return replace(known, is_known=True, problem=str(error), is_broken=False)
