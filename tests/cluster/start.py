"""Starts the node in namespaces of its own and follows it until it is ready."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.cluster import cgroups, inside, network, owner, packages, process, settings
from tests.cluster.errors import ClusterError
from tests.cluster.layout import API, Layout
from tests.cluster.plan import parse_plan
from tests.cluster.progress import Progress

START_SECONDS = 300.0
CHILD_SECONDS = 10.0
LAST_LINES = 15
LINE_LENGTH = 300
NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--uts")
"""No cgroup namespace: the cgroup mounts are the host's, and a path must mean the same in both."""
UNSHARE = ("--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def start(places: Layout) -> None:
    """Start the node's first process, record which it is, link it, and let it go on."""
    places.status.unlink(missing_ok=True)
    cgroups.make(_daemons(places))
    with node_log(places).open("ab") as log:
        outer = _unshare(places, log)
    if outer.stdin is None:
        raise ClusterError("the node has no standard input")
    with outer.stdin as say_go:  # closed without the word, it ends the node
        init = _first_process(outer)
        _record(places, init)
        network.connect(init.pid)
        say_go.write(b"go\n")


def wait_until_ready(places: Layout, progress: Progress) -> None:
    """Follow the node's own report until it says that all of it runs.

    Raises:
        ClusterError: it failed, ended, or took too long; with the last lines of the log.

    """
    if not _is_ready(places):
        with progress.step("starting the node"), progress.ticking():
            _follow(places)
    if not inside.is_ready(f"{API}/readyz"):
        raise ClusterError(
            f"the node runs, but {API}/readyz does not answer from this machine; logs:"
            f" {places.logs}; 'make cluster-down' removes the cluster"
        )


def enter(init: int) -> list[str]:
    """Return the command that runs the command after it on the node."""
    return ["nsenter", f"--target={init}", *NAMESPACES]


def _daemons(places: Layout) -> Iterator[str]:
    """Yield the names of the daemons that get cgroups of their own."""
    for stage in parse_plan(places.plan.read_text()).stages:
        yield from (component.name for component in stage.components if component.groups)


def node_log(places: Layout) -> Path:
    """Return where the node's first process writes."""
    return places.logs / "node.log"


def _unshare(places: Layout, log: IO[bytes]) -> subprocess.Popen[bytes]:
    first = (sys.executable, "-m", inside.__name__, str(places.plan))
    return subprocess.Popen(
        ["unshare", *NAMESPACES, *UNSHARE, *first],
        cwd=settings.CLONE,
        env={"PATH": packages.SYSTEM_PATH, "HOME": os.environ.get("HOME", "/")},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _first_process(outer: subprocess.Popen[bytes]) -> process.ProcessIdentity:
    deadline = time.monotonic() + CHILD_SECONDS
    while time.monotonic() < deadline and outer.poll() is None:
        child = process.child_of(outer.pid)
        identity = process.identify(child) if child else None
        if identity:
            return identity
        time.sleep(0.02)
    raise ClusterError(
        "'unshare' started no process: this needs root and a kernel that lets it make namespaces"
    )


def _record(places: Layout, init: process.ProcessIdentity) -> None:
    recorded = owner.load_owner(places.owner)
    if recorded is None:
        raise ClusterError(f"{places.owner} is gone or cannot be read; run 'make cluster-down'")
    dataclasses.replace(recorded, init=init).save(places.owner)


def _is_ready(places: Layout) -> bool:
    status = _status(places)
    if status.get("phase") == "failed":
        raise ClusterError(_with_last_lines(status["problem"], Path(status["log"])))
    recorded = owner.load_owner(places.owner)
    if recorded is None or not recorded.is_running:
        raise ClusterError(_with_last_lines("the node's first process ended", node_log(places)))
    return status.get("phase") == "ready"


def _follow(places: Layout) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(places):
        if time.monotonic() > deadline:
            waiting = _status(places).get("waitingFor", "its first daemon")
            raise ClusterError(f"the node still waits for {waiting}; logs: {places.logs}")
        time.sleep(0.1)


def _status(places: Layout) -> dict[str, str]:
    try:
        return dict(json.loads(places.status.read_text()))
    except FileNotFoundError:
        return {}


def _with_last_lines(problem: str, log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    except FileNotFoundError:
        lines = []
    return "\n".join(
        [f"{problem}; the end of {log}:", *(f"  {line[:LINE_LENGTH]}" for line in lines)]
    )
