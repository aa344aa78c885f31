"""The threads that follow the cluster, and the command that starts it all."""

import asyncio
import copy
import importlib.util
import os

import pytest
from slipway.cli.changes import Scope
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl
from slipway.cli.session import Session
from slipway.dashboard.command import choose_scope
from slipway.dashboard.fleet import Fleet
from slipway.dashboard.watches import Watches

from tests.unit.agent.waiting import until
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import recording

DIGITS = "vision", "digits"
EVENT = {
    "metadata": {"name": "digits.1"},
    "involvedObject": {"kind": "ModelDeployment", "namespace": "vision", "name": "digits"},
    "reason": "RolloutStarted",
    "message": "a candidate is being started",
    "lastTimestamp": "2026-11-21T12:01:33Z",
}


def is_waiting(fleet: Fleet) -> bool:
    return fleet.rows[DIGITS].group == "person"


async def test_objects_and_events_reach_the_fleet_and_no_thread_is_left(run: Program) -> None:
    changed = copy.deepcopy(recording("awaiting-approval").manifest)
    run.change(events=[EVENT], watches=[{"events": [changed]}])
    session = Session(Kubectl(program=os.environ["SLIPWAY_KUBECTL"]))
    fleet, problems = Fleet(), list[CliError]()
    loop = asyncio.get_running_loop()
    watches = Watches(session, Scope(everywhere=True), fleet, loop, problems.append)
    watches.start()
    await until("the change", lambda: DIGITS in fleet.rows and is_waiting(fleet))
    await until("the event", lambda: bool(fleet.events.get(DIGITS)))
    await asyncio.to_thread(watches.stop)

    assert [event.reason for event in fleet.events_of(fleet.objects[DIGITS])] == ["RolloutStarted"]
    assert problems == []
    assert not any(thread.is_alive() for thread in watches._threads)


async def test_who_may_not_list_is_told_and_not_left_with_an_empty_page(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.cli.reconnect.DOUBT_SECONDS", 0.0)
    run.change(says='Error from server (Forbidden): User "x" cannot list resource')
    session = Session(Kubectl(program=os.environ["SLIPWAY_KUBECTL"]))
    fleet, problems = Fleet(), list[CliError]()
    loop = asyncio.get_running_loop()
    watches = Watches(session, Scope(everywhere=True), fleet, loop, problems.append)
    watches.start()
    await until("both refusals", lambda: bool(problems and fleet.events_note))
    await asyncio.to_thread(watches.stop)

    assert "forbidden" in problems[0].message


def test_all_namespaces_are_shown_where_that_is_allowed(run: Program) -> None:
    program = os.environ["SLIPWAY_KUBECTL"]
    anywhere, one = Kubectl(program=program), Kubectl(("--namespace=speech",), program)

    assert choose_scope(Session(anywhere), everywhere=False, selector="").everywhere
    assert not choose_scope(Session(one), everywhere=False, selector="").everywhere
    assert choose_scope(Session(one), everywhere=True, selector="").everywhere
    run.change(says="error: no")
    assert not choose_scope(Session(anywhere), everywhere=False, selector="").everywhere


def test_without_the_extra_the_command_says_how_to_get_it(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    done = run("dashboard", "--no-browser")

    assert done.code == 1
    assert "pip install 'slipway[dashboard]'" in done.err
