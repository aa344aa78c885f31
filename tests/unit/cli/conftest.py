"""The program with a kubectl of ours in place of the real one."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slipway.cli import main as program

from tests.unit.cli.recordings import recording


@dataclass
class Ran:
    code: int
    out: str
    err: str


@dataclass
class Program:
    cluster: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ran:
        self.patch.setattr(sys, "argv", ["kubectl-slipway", *words])
        code = program.main()
        printed = self.capture.readouterr()
        return Ran(code, printed.out, printed.err)

    def change(self, **values: Any) -> None:
        fresh = self.cluster.with_suffix(".test")
        fresh.write_text(json.dumps({**self.state, **values}))
        fresh.replace(self.cluster)

    def put(self, name: str, manifest: dict[str, Any]) -> None:
        self.change(objects={**self.state["objects"], name: manifest})

    @property
    def state(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.cluster.read_text())
        return read

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.state["objects"]["digits"]["metadata"]["annotations"]
        return found


class Counting:
    """A clock that goes on by a second at every look: no deadline depends on the machine."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is followed ends after so many looks, not after so many seconds."""
    monkeypatch.setattr("slipway.cli.changes.time", Counting())


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    """The program, and a cluster with digits in the middle of a step."""
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps({"objects": {"digits": recording("progressing").manifest}}))
    kubectl = tmp_path / "kubectl"
    fake = Path(__file__).parent / "fake_kubectl.py"
    kubectl.write_text(f'#!/bin/sh\nexec {sys.executable} -S {fake} "$@"\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("SLIPWAY_KUBECTL", str(kubectl))
    monkeypatch.setenv("FAKE_CLUSTER", str(cluster))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("slipway.cli.reconnect.PAUSE_SECONDS", 0.01)
    return Program(cluster, monkeypatch, capsys)
