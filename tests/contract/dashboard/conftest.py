"""A dashboard on the loopback, its cluster in a file, and a browser that looks at it."""

import asyncio
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from slipway.cli.changes import Change, Scope
from slipway.cli.kubectl import Kubectl
from slipway.cli.object_events import ObjectEvent
from slipway.cli.objects import parse_model_deployment
from slipway.cli.session import Session
from slipway.dashboard.fleet import Fleet
from slipway.dashboard.rights import RightsBook
from slipway.dashboard.server import DashboardPages, Follows, PageServer, make_app

from tests.contract.dashboard.story import now_to_second
from tests.install.helm import ROOT

TOKEN = "of-this-test"  # noqa: S105 -- of the tests
CHROMIUM = ("SLIPWAY_CHROMIUM", "chromium", "chromium-browser", "google-chrome")
RIGHTS = {
    "viewer": [],
    "approver": ["patch", "create approve"],
    "owner": None,
}
"""As the chart's roles give them; None: all."""
FAKE = ROOT / "tests/unit/cli/fake_kubectl.py"


class StillWatches:
    """In the place of the watches: the test says what happens."""

    def start(self) -> None:
        """Begin nothing."""

    def stop(self) -> None:
        """End nothing."""


@dataclass
class Served:
    """A dashboard that runs, and what it looks at."""

    address: str
    pages: DashboardPages
    cluster: Path
    loop: asyncio.AbstractEventLoop
    faults: list[str] = field(default_factory=list)
    """What the browser complained of."""

    @property
    def entry(self) -> str:
        return f"{self.address}/#token={TOKEN}"

    def tell(self, manifest: dict[str, Any], at: datetime | None = None) -> None:
        self._call(self._apply, manifest, at or now_to_second())

    def tell_event(self, key: tuple[str, str], name: str, event: ObjectEvent) -> None:
        self._call(self.pages.fleet.apply_event, key, name, event)

    def grant(self, role: str) -> None:
        self.change(rights=RIGHTS[role], user=role)
        self.pages.user = role
        self.pages.rights.forget()

    def change(self, **values: Any) -> None:
        state = json.loads(self.cluster.read_text())
        self.cluster.write_text(json.dumps({**state, **values}))

    @property
    def state(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.cluster.read_text())
        return read

    def _apply(self, manifest: dict[str, Any], at: datetime) -> None:
        self.pages.fleet.apply_change(Change(parse_model_deployment(manifest)), at)
        name = manifest["metadata"]["name"]
        self.change(objects={**self.state["objects"], name: manifest})

    def _call(self, function: Any, *values: Any) -> None:
        async def run() -> None:
            function(*values)

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    cluster, kubectl = tmp_path / "cluster.json", tmp_path / "kubectl"
    cluster.write_text(json.dumps({"objects": {}, "answers": ["Done"] * 9, "user": "owner"}))
    kubectl.write_text(f'#!/bin/sh\nexec {sys.executable} -S {FAKE} "$@"\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("FAKE_CLUSTER", str(cluster))
    session = Session(Kubectl(program=str(kubectl)))
    pages = DashboardPages(
        session, Scope(everywhere=True), Fleet(), RightsBook(session.kubectl), user="owner"
    )
    with run_server(pages) as (address, loop):
        found = Served(address, pages, cluster, loop)
        yield found
    assert found.faults == []


@contextmanager
def run_server(
    pages: DashboardPages, follow: Callable[[asyncio.AbstractEventLoop], Follows] | None = None
) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """Serve in a thread; the block gets the address, and the loop for what the test tells."""
    loops: list[asyncio.AbstractEventLoop] = []
    ready = threading.Event()

    def watches() -> Follows:
        loop = asyncio.get_running_loop()
        loops.append(loop)
        ready.set()
        return follow(loop) if follow else StillWatches()

    config = uvicorn.Config(
        make_app(pages, TOKEN, watches), log_level="warning", timeout_graceful_shutdown=1
    )
    server = PageServer(config, pages.fleet)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert ready.wait(60)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", loops[0]
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = [os.environ.get(CHROMIUM[0], ""), *CHROMIUM[1:]]
    [program, *_] = [found for found in map(shutil.which, names) if found] or [""]
    assert program, f"no Chromium: apt-get install chromium, or set {CHROMIUM[0]}"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        found = playwright.chromium.launch(executable_path=program, args=arguments, timeout=120_000)
        yield found
        found.close()


@dataclass
class Window:
    """A browser window of one person."""

    served: Served
    context: BrowserContext

    def open(self, path: str = "/") -> Page:
        """Return a page that shows what it is about; the first one brings the token."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.served.faults.append(str(error)))
        page.on("console", self._listen)
        page.goto(self.served.entry)
        page.wait_for_selector("tbody a")
        if path != "/":
            page.goto(self.served.address + path)
            page.wait_for_selector("#actions li")
        return page

    def _listen(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.served.faults.append(message.text)


@pytest.fixture
def window(served: Served, browser: Browser) -> Iterator[Window]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.set_default_timeout(60_000)
    yield Window(served, context)
    context.close()
