"""The dashboard on the recorded cluster: its pages are asked without a browser."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from slipway.cli.changes import Change, Scope
from slipway.cli.kubectl import Kubectl
from slipway.cli.objects import parse_model_deployment
from slipway.cli.session import Session
from slipway.dashboard.fleet import Fleet
from slipway.dashboard.rights import RightsBook
from slipway.dashboard.server import DashboardPages, make_app
from starlette.testclient import TestClient

from tests.builders import NOON
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import recording

TOKEN = "a-token-of-this-run"  # noqa: S105 -- of the tests
BEARER = {"authorization": f"Bearer {TOKEN}"}
ADDRESS = "http://127.0.0.1:8900"


@dataclass
class Opened:
    """A dashboard that somebody opened, and its cluster."""

    dashboard: DashboardPages
    client: TestClient
    program: Program

    @property
    def fleet(self) -> Fleet:
        return self.dashboard.fleet

    def tell(self, manifest: dict[str, Any], *, deleted: bool = False) -> None:
        change = Change(parse_model_deployment(manifest), deleted=deleted)
        self.fleet.apply_change(change, NOON)

    def act(self, verb: str, **more: object) -> Any:
        told = {"namespace": "vision", "name": "digits", "position": "6b04114e/1"}
        return self.client.post("/api/actions", json={**told, "verb": verb, **more})


@pytest.fixture
def opened(run: Program) -> Iterator[Opened]:
    session = Session(Kubectl(program=os.environ["SLIPWAY_KUBECTL"]))
    rights = RightsBook(session.kubectl)
    dashboard = DashboardPages(session, Scope(everywhere=True), Fleet(), rights, user="editor")
    app = make_app(dashboard, TOKEN, partial(pytest.fail, "nothing is followed here"))
    client = TestClient(app, base_url=ADDRESS, headers=BEARER)
    found = Opened(dashboard, client, run)
    found.tell(recording("progressing").manifest)
    yield found
    client.close()
