"""HTTP of the operator to places that it does not trust: short, capped, and never led astray."""

import ssl
from pathlib import Path

import aiohttp
import certifi

from slipway import __version__

HEADERS = {
    "User-Agent": f"slipway-operator/{__version__}",
    "Accept-Encoding": "identity",
}
"""Without compression, so that what is capped on the wire is capped in memory."""
BLOCK_BYTES = 65_536


class TooLarge(Exception):
    """The body is longer than it may be."""


def trust(ca_file: str) -> ssl.SSLContext:
    """Return the system's certificates and the file's.

    Raises:
        OSError: the file cannot be read.

    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(cadata=Path(ca_file).read_text())
    return context


async def read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body.

    Raises:
        TooLarge: it has more than `most` bytes.

    """
    if response.content_length is not None and response.content_length > most:
        raise TooLarge
    body = bytearray()
    async for block in response.content.iter_chunked(BLOCK_BYTES):
        body += block
        if len(body) > most:
            raise TooLarge
    return bytes(body)
