"""HTTP to pods by their addresses: one session for all pods, opened with the first request."""

from typing import Any

import aiohttp


class PodClient:
    """Opens connections to one port of pods."""

    def __init__(self, port: int, **session: Any) -> None:
        """Connect to `port`; `session` has the arguments of `aiohttp.ClientSession`."""
        self._port = port
        self._arguments = session
        self._session: aiohttp.ClientSession | None = None

    def url(self, address: str, path: str) -> str:
        """Return the URL of a path at a pod (``<pod IP>``); IPv6 addresses get their brackets."""
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self._port}{path}"

    def open(self) -> aiohttp.ClientSession:
        """Return the session; it belongs to the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(**self._arguments)
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
