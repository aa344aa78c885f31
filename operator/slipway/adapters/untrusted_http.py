"""HTTP to servers that the operator does not trust: short, capped, and never redirected."""

import ssl
from pathlib import Path

import aiohttp
import certifi

from slipway import __version__

HEADERS = {
    "User-Agent": f"slipway-operator/{__version__}",
    "Accept-Encoding": "identity",
}
"""Without compression, so that a cap on the wire is a cap in memory."""
BLOCK_BYTES = 65_536


class TooLarge(Exception):
    """The body is longer than allowed."""


def trusted_tls_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates and the file's.

    Raises:
        OSError: the file cannot be read.

    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    if ca_file:
        context.load_verify_locations(cadata=Path(ca_file).read_text())
    return context


async def read_capped(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of a response.

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
