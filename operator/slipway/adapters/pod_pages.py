"""Pages of pods, read by one client with one set of rules, because their images are not ours.

No redirect is followed, nothing compressed is taken, no cookie is kept; bytes and seconds have
caps. Whatever a pod sends becomes the page or a reason, never an exception.
"""

import asyncio
import logging

import aiohttp

from slipway.adapters import untrusted_http
from slipway.api.reasons import Reason, Why

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
"""From the wait for a connection to the last byte; the next pass asks again."""
CONNECTIONS_PER_POD = 4
OK = 200


class PodPages:
    """Reads pages from one port of pods: one session for all of them."""

    def __init__(self, port: int, *, most_bytes: int) -> None:
        """Connect to `port`, and read pages of at most `most_bytes`."""
        self._port = port
        self._most_bytes = most_bytes
        self._session: aiohttp.ClientSession | None = None

    async def read(self, address: str, path: str) -> bytes | Why:
        """Return the page at a path of a pod (``<pod IP>``), or why there is none."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._get(self._url(address, path))
        except TimeoutError:
            return Why(Reason.SERVER_TIMEOUT, f"no answer within {TIMEOUT_SECONDS:g} s")
        except untrusted_http.TooLarge:
            return Why(Reason.ANSWER_TOO_LARGE, f"the answer exceeds {self._most_bytes} bytes")
        except (aiohttp.ClientError, OSError):
            return Why(Reason.SERVER_UNREACHABLE, "unreachable, or the connection broke")
        except Exception:  # a stranger's answer must not end what the operator does
            log.exception("the answer of a pod was not understood")
            return Why(Reason.ANSWER_MALFORMED, "the answer is not HTTP that can be understood")

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _get(self, url: str) -> bytes | Why:
        async with self._open().get(url, allow_redirects=False) as response:
            if response.status != OK:
                return Why(Reason.SERVER_ERROR, f"answered HTTP {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                return Why(
                    Reason.ANSWER_MALFORMED, "the answer is compressed, which was not asked for"
                )
            return await untrusted_http.read_capped(response, self._most_bytes)

    def _url(self, address: str, path: str) -> str:
        """Return the URL of a path; IPv6 addresses get their brackets."""
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self._port}{path}"

    def _open(self) -> aiohttp.ClientSession:
        """Return the session; it belongs to the running loop."""
        if self._session is None:
            # no common limit: pods that hang must not hold up the others
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_POD)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=untrusted_http.HEADERS,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
