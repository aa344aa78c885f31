"""Questions that go on beside the passes: a slow answer delays nobody, and is there later.

A pass waits for a moment; what takes longer is taken by a later pass. One question with the same
key is under way at most.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

FORGOTTEN_SECONDS = 60.0
"""An answer that nobody came for is too old by then."""
MOST_KEPT = 4096


@dataclass(slots=True)
class _Question(Generic[T]):
    task: asyncio.Task[T]
    ended: float | None = None
    is_taken: bool = False


class Beside(Generic[T]):
    """Asks, waits for at most `patience_seconds`, and repeats an answer for `fresh_seconds`."""

    def __init__(
        self,
        *,
        patience_seconds: float,
        fresh_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience_seconds
        self._fresh = fresh_seconds
        self._now = now
        self._questions: dict[Hashable, _Question[T]] = {}

    async def ask(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T | None:
        """Return the answer; None: it is still on its way."""
        asked = self._known(key) or self._begin(key, question)
        if not asked.task.done():
            await asyncio.wait({asked.task}, timeout=self._patience)
        return self._take(key)

    def taken(self, key: Hashable) -> T | None:
        """Return an answer that has come, without asking."""
        return self._take(key)

    async def close(self) -> None:
        """End what is under way."""
        tasks = [asked.task for asked in self._questions.values()]
        self._questions.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, key: Hashable) -> _Question[T] | None:
        asked = self._questions.get(key)
        if asked is None or asked.ended is None:
            return asked
        age = self._now() - asked.ended
        return asked if age < (self._fresh if asked.is_taken else FORGOTTEN_SECONDS) else None

    def _begin(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> _Question[T]:
        self._forget()
        asked: _Question[T] = _Question(asyncio.ensure_future(_run(question)))

        def note(_: asyncio.Task[T]) -> None:
            asked.ended = self._now()

        asked.task.add_done_callback(note)
        self._questions[key] = asked
        return asked

    def _take(self, key: Hashable) -> T | None:
        asked = self._questions.get(key)
        if asked is None or not asked.task.done():
            return None
        asked.is_taken = True
        return asked.task.result()

    def _forget(self) -> None:
        if len(self._questions) < MOST_KEPT // 4:
            return
        self._questions = {
            key: asked for key, asked in self._questions.items() if self._known(key) is not None
        }


async def _run(question: Callable[[], Awaitable[T]]) -> T:
    return await question()
