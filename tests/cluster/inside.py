"""The node's first process: sets the node up, starts its daemons in order and watches over them.

It runs in namespaces of its own, so its end is the end of everything it started. `up` starts it
as `python -m tests.cluster.inside <plan>`, and it waits for a line on its standard input: if `up`
dies before the node's link exists, the node ends too.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.cluster.plan import Component, Plan, Stage, parse_plan

READY_SECONDS = 120.0
COMMAND_TRIES = 3
RESTART_SECONDS = 1.0


class NodeFailed(Exception):
    """A daemon or command did not do its part."""

    def __init__(self, what: str, problem: str, log: Path) -> None:
        super().__init__(f"{what} {problem}")
        self.log = log


class Node:
    """The running daemons, by pid."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._logs = Path(plan.logs)
        self._running: dict[int, Component] = {}

    def start(self) -> None:
        """Bring up one stage after the other.

        Raises:
            NodeFailed: with the log that says why.

        """
        for stage in self._plan.stages:
            self._run_stage(stage)

    def supervise(self) -> NoReturn:
        """Start again whatever ends, for as long as the node lives."""
        while True:
            pid, status = os.wait()
            component = self._running.pop(pid, None)
            if component:
                code = os.waitstatus_to_exitcode(status)
                print(f"{component.name} ended with code {code}; starting it again", flush=True)
                time.sleep(RESTART_SECONDS)
                self._spawn(component)

    def _run_stage(self, stage: Stage) -> None:
        for component in stage.components:
            self._spawn(component)
        for component in stage.components:
            self._report(component.name)
            self._wait_until_ready(component)
        for command in stage.then:
            self._report(" ".join(Path(word).name for word in command))
            self._run(command)

    def _spawn(self, component: Component) -> None:
        with self._log(component.name).open("ab") as log:
            process = subprocess.Popen(
                _into_groups(component), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._running[process.pid] = component

    def _wait_until_ready(self, component: Component) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(component.ready):
            self._fail_if_one_ended()
            if time.monotonic() > deadline:
                problem = f"was not ready after {READY_SECONDS:.0f} s ({component.ready})"
                raise NodeFailed(component.name, problem, self._log(component.name))
            time.sleep(0.1)

    def _fail_if_one_ended(self) -> None:
        pid, status = os.waitpid(-1, os.WNOHANG)
        component = self._running.get(pid)
        if component:
            problem = f"ended with code {os.waitstatus_to_exitcode(status)} while starting"
            raise NodeFailed(component.name, problem, self._log(component.name))

    def _run(self, command: tuple[str, ...]) -> None:
        log = self._log("commands")
        for _ in range(COMMAND_TRIES):
            if _succeeds(command, log):
                return
            time.sleep(1)
        raise NodeFailed(f"'{' '.join(command)}'", f"failed {COMMAND_TRIES} times", log)

    def _report(self, waiting_for: str) -> None:
        report(Path(self._plan.status), {"phase": "starting", "waitingFor": waiting_for})

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def is_ready(probe: str) -> bool:
    """Tell whether a daemon answers at `Component.ready`."""
    if probe.startswith("unix:"):
        return _accepts(probe.removeprefix("unix:"))
    context = ssl.create_default_context()
    # Some daemons serve their health under a certificate that they made themselves.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(probe, timeout=2, context=context) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def _succeeds(command: tuple[str, ...], log: Path) -> bool:
    with log.open("ab") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        done = subprocess.run(command, stdout=output, stderr=output, check=False)
    return done.returncode == 0


def _into_groups(component: Component) -> tuple[str, ...]:
    """Return the command of a daemon that first moves itself into its cgroups."""
    if not component.groups:
        return component.command
    files = " ".join(f"{group}/cgroup.procs" for group in component.groups)
    return (
        "sh",
        "-c",
        f'for file in {files}; do echo 0 >"$file"; done; exec "$@"',
        "sh",
        *component.command,
    )


def report(status: Path, content: dict[str, str]) -> None:
    """Report to the process that waits outside, whole or not at all."""
    fresh = status.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(status)


def _prepare(plan: Plan) -> None:
    """Give the node its own name, directories and network."""
    socket.sethostname(plan.node)
    for source, target in plan.binds:
        _command("mount", "--bind", source, target)
    for place in plan.memory:
        _command("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
    for command in plan.network:
        _command(*command)
    bridged = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if bridged.exists():  # only where the kernel has the module loaded
        bridged.write_text("1")


def _command(*words: str) -> None:
    subprocess.run(words, check=True)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def main() -> None:
    """Run the node until it is killed."""
    plan = parse_plan(Path(sys.argv[1]).read_text())
    signal.signal(signal.SIGTERM, _end)
    if not sys.stdin.readline():
        sys.exit("the process that started this node ended before its network existed")
    os.chdir("/")
    node = Node(plan)
    try:
        _prepare(plan)
        node.start()
    except NodeFailed as failure:
        content = {"phase": "failed", "problem": str(failure), "log": str(failure.log)}
        report(Path(plan.status), content)
        sys.exit(1)
    except (OSError, subprocess.SubprocessError) as failure:
        content = {"phase": "failed", "problem": str(failure), "log": f"{plan.logs}/node.log"}
        report(Path(plan.status), content)
        sys.exit(1)
    report(Path(plan.status), {"phase": "ready"})
    node.supervise()


if __name__ == "__main__":
    main()
