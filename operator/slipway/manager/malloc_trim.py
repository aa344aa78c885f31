"""Returns freed memory to the system: reading thousands of objects takes more than keeping them.

The allocator would keep that memory for the next large list, which comes only with the next start.
"""

import asyncio
import ctypes
import gc

SETTLE_SECONDS = 5.0
"""After the cache is filled, until kopf has released the objects as well."""
EVERY_SECONDS = 600.0


WHILE_FILLING = (10_000, 10, 1_000)
"""Thresholds of the garbage collector: what is read stays, so looking through all of it again and
again finds next to nothing (decision 0072)."""


async def keep_memory_small(
    filled: asyncio.Event, *, settle_seconds: float = SETTLE_SECONDS
) -> None:
    """Return memory soon after the cache is filled, and at intervals from then on.

    Until then the garbage collector looks less often.
    """
    usual = gc.get_threshold()
    gc.set_threshold(*WHILE_FILLING)
    try:
        await filled.wait()
        await asyncio.sleep(settle_seconds)
        gc.collect()
        gc.freeze()  # what is there now stays, so no collection needs to look at it again
    finally:
        gc.set_threshold(*usual)

    while True:
        _trim_heap()
        await asyncio.sleep(EVERY_SECONDS)


def _trim_heap() -> None:
    """Ask the C library, where it can: glibc can, musl cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
