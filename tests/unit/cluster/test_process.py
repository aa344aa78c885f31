"""A process is known by more than its pid."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import process
from tests.cluster.wait import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

STRANGE_NAME = "a) S 1 (b"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def identity_of(pid: int) -> process.ProcessIdentity:
    found = process.identify(pid)
    assert found
    return found


def test_a_running_process_is_alive(sleeper: "subprocess.Popen[bytes]") -> None:
    assert process.is_alive(identity_of(sleeper.pid))


def test_a_later_process_with_the_same_pid_is_not_the_one_we_know(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    ours = identity_of(sleeper.pid)
    earlier = replace(ours, started=ours.started - 1)
    assert not process.is_alive(earlier)
    assert not process.kill_process(earlier)
    assert sleeper.poll() is None


def test_a_process_of_an_earlier_boot_is_not_the_one_we_know(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    earlier = replace(identity_of(sleeper.pid), boot="another")
    assert not process.kill_process(earlier)
    assert sleeper.poll() is None


def test_killing_waits_for_the_end(sleeper: "subprocess.Popen[bytes]") -> None:
    ours = identity_of(sleeper.pid)
    assert process.kill_process(ours)
    assert not process.is_alive(ours)
    assert sleeper.wait() == -9


def test_what_has_ended_is_not_killed_again(sleeper: "subprocess.Popen[bytes]") -> None:
    ours = identity_of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not process.kill_process(ours)


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    wait_for(lambda: process.start_ticks(child.pid) is None, "the child to become a zombie", 10)
    assert child.wait() == 0


def test_a_child_is_found_by_its_parent(sleeper: "subprocess.Popen[bytes]") -> None:
    script = "sleep 60 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert process.child_of(parent.pid) == child
        assert process.child_of(sleeper.pid) is None
        assert process.kill_process(identity_of(child))


def test_a_command_name_may_hold_parentheses_and_spaces() -> None:
    rename = f"open('/proc/self/comm', 'w').write({STRANGE_NAME!r})"
    code = f"import sys; sys.stdin.readline(); {rename}; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as child:
        assert child.stdin
        assert child.stdout

        before = identity_of(child.pid)
        child.stdin.write(b"\n")
        child.stdout.readline()
        assert STRANGE_NAME in Path(f"/proc/{child.pid}/comm").read_text()
        assert process.identify(child.pid) == before

        child.kill()


def test_processes_are_found_by_the_end_of_their_command_line() -> None:
    marker = f"marker-{os.getpid()}"
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "one", marker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout

        child.stdout.readline()
        assert process.find_processes(("one", marker)) == [identity_of(child.pid)]
        assert process.find_processes((marker[1:],)) == []

        child.kill()
