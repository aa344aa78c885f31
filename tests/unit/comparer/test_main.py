"""The process: it follows the agent's file, writes its page, and stays below its memory."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from slipway.api.modelroute import Shadow
from slipway.api.shadow_orders import FILE, PAGE_FILE, ShadowOrder, ShadowOrders
from slipway.comparer import main
from slipway.comparer.main import Comparer

from tests.unit.agent.waiting import until


def write_orders(folder: Path, *revisions: str) -> None:
    orders = [ShadowOrder(route="digits", shadow=Shadow(revision=each)) for each in revisions]
    wanted = ShadowOrders(proxy="router-0", orders=orders)
    (folder / FILE).write_text(wanted.model_dump_json(by_alias=True))


def candidates(folder: Path) -> list[str]:
    page = folder / PAGE_FILE
    found = json.loads(page.read_text()) if page.exists() else {"copies": []}
    return [each["candidate"] for each in found["copies"]]


async def test_it_follows_the_orders_and_ends_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(main, "WRITE_SECONDS", 0.02)
    monkeypatch.setattr(main, "IDLE_SECONDS", 0.1)
    write_orders(tmp_path, "bbbbbbbb")
    running = asyncio.create_task(Comparer(tmp_path).run())

    await until("the order is followed", lambda: candidates(tmp_path) == ["bbbbbbbb"])
    write_orders(tmp_path, "cccccccc")
    await until("the newer order is followed", lambda: candidates(tmp_path) == ["cccccccc"])
    (tmp_path / FILE).write_text("{half")
    write_orders(tmp_path, "dddddddd")
    await until("a broken file changes nothing", lambda: candidates(tmp_path) == ["dddddddd"])
    (tmp_path / FILE).unlink()
    await running
    assert candidates(tmp_path) == []


ALLOCATE = """
from slipway.comparer.main import limit_memory
limit_memory(str(256 * 2**20))
try:
    block = bytearray(256 * 2**20)
except MemoryError:
    print("failed by itself")
"""


def test_an_allocation_fails_below_the_containers_limit() -> None:
    """So that Python fails, and not the kernel, which would end the container."""
    found = subprocess.run(
        [sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "failed by itself", found.stderr
