"""Memory that the first lists took is given back."""

import asyncio
import contextlib
import gc

from slipway.manager.malloc_trim import WHILE_FILLING, keep_memory_small


async def test_what_the_cache_holds_is_no_business_of_the_collector_once_it_is_filled() -> None:
    filled = asyncio.Event()
    before, usual = gc.get_freeze_count(), gc.get_threshold()
    keeping = asyncio.create_task(keep_memory_small(filled, settle_seconds=0))

    await asyncio.sleep(0.01)

    assert gc.get_freeze_count() == before
    assert gc.get_threshold() == WHILE_FILLING, "what is being read is not looked through"

    filled.set()
    try:
        async with asyncio.timeout(30):
            while gc.get_freeze_count() == before:  # noqa: ASYNC110 -- another task freezes
                await asyncio.sleep(0.01)
        assert not keeping.done()
        assert gc.get_threshold() == usual
    finally:
        gc.unfreeze()
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
