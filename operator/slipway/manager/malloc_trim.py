"""Gives back what the first lists took: reading thousands of objects needs more than keeping them.

The allocator keeps what is freed for the next time, which comes with the next start at the latest.
"""

import asyncio
import ctypes
import gc

SETTLE_SECONDS = 5.0
"""After the cache is filled, until kopf has let go of the objects as well."""
EVERY_SECONDS = 600.0


async def keep_memory_small(
    filled: asyncio.Event, *, settle_seconds: float = SETTLE_SECONDS
) -> None:
    """Give memory back soon after the cache is filled, and now and then from then on."""
    await filled.wait()
    await asyncio.sleep(settle_seconds)
    gc.collect()
    gc.freeze()  # what is there now stays: no collection need look at it again
    while True:
        _trim()
        await asyncio.sleep(EVERY_SECONDS)


def _trim() -> None:
    """Ask the C library, where it can: glibc can, musl cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
