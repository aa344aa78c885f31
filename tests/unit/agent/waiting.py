"""Waiting for a condition, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE_SECONDS = 60.0
PAUSE_SECONDS = 0.005


async def until(what: str, holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition; `what` names it if it never comes true."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + DEADLINE_SECONDS
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert clock() < deadline, f"never came true: {what}"
        await asyncio.sleep(PAUSE_SECONDS)
