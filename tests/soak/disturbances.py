"""What goes wrong on purpose while rollouts run: each kind by itself, again and again."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slipway.api.names import COMPONENT_ROUTER, LABEL_COMPONENT

from tests.cluster import settings
from tests.cluster.process import PROC
from tests.cluster.progress import say
from tests.e2e.operators import Operators, is_ready
from tests.kubectl import Kubectl, KubectlError
from tests.soak.tally import Event

API_SERVER_STOPS_SECONDS = 2.0
API_SERVER_SLOW_SECONDS = 6.0
SLOW_STOPPED, SLOW_RUNNING = 0.3, 0.1
"""Of a slow API server: for so many seconds it stands still, then works, in turn."""
ROUTER_PODS = 2
_at_operators = threading.Lock()
"""Who killed some waits for others before more are killed."""
_at_api_server = threading.Lock()
"""Who stops it lets it run again before another one stops it."""


@dataclass(slots=True)
class Disturber:
    """Disturbs until it is stopped, and keeps a record of it."""

    events: list[Event] = field(default_factory=list)
    missed: int = 0
    """Disturbances that could not be made, because the one before was not yet over."""
    _over: threading.Event = field(default_factory=threading.Event)

    def repeat(self, what: str, disturb: Callable[[], bool], seconds: float) -> None:
        """Disturb so many seconds after each time; `disturb` says whether it could."""
        while not self._over.wait(seconds):
            began = time.time()
            try:
                done = disturb()
            except (KubectlError, AssertionError, OSError) as error:
                say(f"{what}: {error}")
                done = False
            if done:
                self.events.append(Event(what, began, time.time()))
            else:
                self.missed += 1

    def stop(self) -> None:
        """Disturb no more."""
        self._over.set()


@contextmanager
def disturbing(kubectl: Kubectl, namespace: str, pace: float = 1.0) -> Iterator[Disturber]:
    """Kill operators, delete router pods, stop and slow the API server while the body runs.

    A higher pace disturbs more often.
    """
    disturber = Disturber()
    kinds: tuple[tuple[str, Callable[[], bool], float], ...] = (
        ("leader killed", lambda: _kill_leader(Operators(kubectl)), 20.0),
        ("all operators killed", lambda: _kill_operators(Operators(kubectl)), 70.0),
        ("router pod deleted", lambda: _delete_router_pod(kubectl, namespace), 45.0),
        ("API server stopped", _stop_api_server, 62.0),
        ("API server slowed", _slow_api_server, 47.0),
    )

    threads = [
        threading.Thread(
            target=disturber.repeat, args=(what, disturb, seconds / pace), name=what, daemon=True
        )
        for what, disturb, seconds in kinds
    ]
    for thread in threads:
        thread.start()

    try:
        yield disturber
    finally:
        disturber.stop()
        for thread in threads:
            thread.join()


def _kill_leader(operators: Operators) -> bool:
    """Kill the operator that leads without a warning, and wait until another one stands by."""
    return _kill(operators, [operators.leader()])


def _kill_operators(operators: Operators) -> bool:
    """Kill every operator without a warning, and wait until others are ready."""
    return _kill(operators, [pod["metadata"]["name"] for pod in operators.pods()])


def _kill(operators: Operators, pods: list[str]) -> bool:
    if not _at_operators.acquire(blocking=False):
        return False
    try:
        victims = operators.processes(pods)
        if not victims:
            return False
        operators.kill(victims)
        # The kubelet would restart them later and later.
        operators.replace(pods)
    finally:
        _at_operators.release()
    return True


def _delete_router_pod(kubectl: Kubectl, namespace: str) -> bool:
    """Delete one of two, as a drain does: only while the other one is ready."""
    pods = kubectl.items(namespace, "pods", f"{LABEL_COMPONENT}={COMPONENT_ROUTER}")
    ready = [pod for pod in pods if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    if len(ready) < ROUTER_PODS:
        return False
    gone = random.choice(ready)["metadata"]["name"]
    kubectl.run("delete", "pod", gone, "-n", namespace, "--wait=false")
    return True


def _stop_api_server() -> bool:
    """Let the API server answer nobody for a while."""
    return _stop_in_turn(((API_SERVER_STOPS_SECONDS, 0.0),))


def _slow_api_server() -> bool:
    """Let the API server work a quarter of the time, for a while."""
    turns = round(API_SERVER_SLOW_SECONDS / (SLOW_STOPPED + SLOW_RUNNING))
    return _stop_in_turn(((SLOW_STOPPED, SLOW_RUNNING),) * turns)


def _stop_in_turn(turns: Iterable[tuple[float, float]]) -> bool:
    """Stop the API server and let it run again, for so many seconds each; False without one."""
    pid = _api_server()
    if pid is None or not _at_api_server.acquire(blocking=False):
        return False
    try:
        for stopped, running in turns:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(stopped)
            os.kill(pid, signal.SIGCONT)
            time.sleep(running)
    finally:
        os.kill(pid, signal.SIGCONT)
        _at_api_server.release()
    return True


def _api_server() -> int | None:
    """Return the process of this cluster's API server, on a node that is this machine."""
    for entry in PROC.iterdir():
        words = _words(entry / "cmdline") if entry.name.isdigit() else []
        is_server = any(word.endswith("kube-apiserver") for word in words[:2])
        if is_server and any(f"{settings.STATE}/" in word for word in words):
            return int(entry.name)
    return None


def _words(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
