"""Sends a copy to the candidate, by Envoy's own listener for copies.

Envoy finds the candidate's pods, waits for none that is gone, and times the answer as it timed
stable's. A request of gRPC goes as HTTP/1.1: Envoy speaks HTTP/2 with the server, and puts the
trailers among the headers of the answer.
"""

import asyncio
from pathlib import Path

import aiohttp
from yarl import URL

from slipway.comparer.copied import Copy, Headers, Part, is_grpc
from slipway.comparer.held import MOST_COPIES, HeldCopies
from slipway.errors import SlipwayError
from slipway.render import envoy

SHADOW_HEADER = "x-slipway-shadow"
"""Tells a server that no user waits for this answer."""
FLAGS_HEADER = envoy.FLAGS_HEADER
UNREACHED = frozenset({"UF", "UH", "UO", "NC", "NR", "LR"})
"""Envoy's flags of an answer of its own, where no pod took the request."""
NOT_SENT_ON = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        envoy.ROUTE_HEADER,
    }
)
READ_AT_ONCE = 2**16


class CandidateUnreachable(SlipwayError):
    """No pod of the candidate took the copy."""


class Candidate:
    """Asks by one connection pool; it belongs to the running loop."""

    def __init__(self, socket: Path, held: HeldCopies) -> None:
        """Connect to Envoy's socket for copies; answers count in `held`."""
        self._held = held
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket), limit=MOST_COPIES),
            auto_decompress=False,
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def ask(self, copy: Copy, *, seconds: float, most_bytes: int) -> Part:
        """Return the candidate's answer; one that does not come in time is a failed one.

        Raises:
            CandidateUnreachable: no pod of it took the copy.
            Oversized: the answer has more than `most_bytes`.
            Full: no more can be held.

        """
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(copy, most_bytes)
        except TimeoutError:
            return Part(headers={":status": "504"}, is_whole=True)
        except aiohttp.ClientPayloadError:
            return Part(headers={":status": "502"}, is_whole=True)
        except (aiohttp.ClientError, OSError) as error:
            raise CandidateUnreachable(repr(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _ask(self, copy: Copy, most_bytes: int) -> Part:
        request = copy.request
        url = URL(f"http://{envoy.SHADOW_LISTENER}{copy.path}", encoded=True)
        method = request.headers.get(":method", "POST")
        headers = headers_of_copy(request.headers, copy.route)

        async with self._session.request(
            method, url, data=request.body, headers=headers, allow_redirects=False
        ) as response:
            answer = copy.found
            answer.announce(read_headers(response), most_bytes)
            flags = answer.headers.get(FLAGS_HEADER, "")
            if not UNREACHED.isdisjoint(flags.split(",")):
                raise CandidateUnreachable(flags)
            async for piece in response.content.iter_chunked(READ_AT_ONCE):
                answer.add(piece, most_bytes)
                self._held.add(len(piece))
            answer.is_whole = True
            return answer


def headers_of_copy(headers: Headers, route: str) -> Headers:
    """Return the headers that go to the candidate: the user's, but those of the connection."""
    kept = {
        name: value
        for name, value in headers.items()
        if not name.startswith(":") and name not in NOT_SENT_ON
    }
    authority = headers.get(":authority")
    host = {"host": authority} if authority else {}
    own = {envoy.ROUTE_HEADER: envoy.shadow_host(route), SHADOW_HEADER: "true"}
    # Envoy takes it away from what it hands over, and servers of gRPC answer nobody without it.
    trailers = {"te": "trailers"} if is_grpc(headers) else {}
    return kept | host | own | trailers


def read_headers(response: aiohttp.ClientResponse) -> Headers:
    """Return the headers of an answer, as a copy has them."""
    found: Headers = {":status": str(response.status)}
    for name, value in response.headers.items():
        key = name.lower()
        found[key] = f"{found[key]},{value}" if key in found else value
    return found
