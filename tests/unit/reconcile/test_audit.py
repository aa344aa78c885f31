"""The audit trail: who did what, what was known, and what followed, one line each."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.reconcile.world import OperatorWorld


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, found: list[logging.LogRecord]) -> None:
        super().__init__()
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    found: list[logging.LogRecord] = []
    handler = Kept(found)
    logger = logging.getLogger("slipway.audit")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield found
    logger.setLevel(before)
    logger.removeHandler(handler)


def field(line: logging.LogRecord, name: str) -> Any:
    return vars(line)[name]


async def serving() -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    return world


async def test_a_promotion_leaves_the_weights_and_the_numbers(
    lines: list[logging.LogRecord],
) -> None:
    world = await serving()
    lines.clear()
    await world.ask_for("2")
    await world.until(lambda: world.serving() == "2")

    moved = [field(it, "weights") for it in lines if field(it, "audit") == "weights"]
    assert [it["from"] for it in moved[1:]] == [it["to"] for it in moved[:-1]]
    assert {100} <= {max(it["to"].values()) for it in moved}
    raised = [it for it in lines if field(it, "audit") == "weights" and field(it, "metrics")]
    assert raised
    errors = field(raised[-1], "metrics")[0]
    assert errors["samples"] > 0
    told = [field(it, "reason") for it in lines if field(it, "audit") == "decision"]
    assert "Promoted" in told
    assert {field(it, "by") for it in lines} == {"slipway"}


async def test_an_action_leaves_who_and_what_became_of_it(lines: list[logging.LogRecord]) -> None:
    world = await serving()
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "approval": "Required"}]})
    await world.until(lambda: world.stage() == "AwaitingApproval")
    lines.clear()
    await world.act("skip")
    await world.live(1)
    await world.act("approve", reason="errors as\non stable")
    await world.live(1)

    actions = [it for it in lines if field(it, "audit") == "action"]
    assert [field(it, "verb") for it in actions] == ["skip", "approve"]
    assert field(actions[0], "result").startswith("Refused: ")
    assert field(actions[1], "result") == "Done"
    assert field(actions[1], "by") == "unverified"
    assert [field(it, "requestReason") for it in actions] == [None, "errors as on stable"]
    told = actions[1].getMessage()
    assert told.endswith("approve by unverified: Done; reason: errors as on stable")


async def test_nothing_is_written_twice_or_at_rest(lines: list[logging.LogRecord]) -> None:
    world = await serving()
    await world.ask_for("2")
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    promoted = [
        it for it in lines if vars(it).get("reason") == "Promoted" and "2" in it.msg % it.args
    ]
    assert len([it for it in promoted if field(it, "audit") == "decision"]) == 1
    lines.clear()
    world.start()
    await world.live(120)
    assert lines == []


PROMOTED = "dev.slipway.rollout.promoted"


async def test_receivers_are_told_what_the_log_is_told(lines: list[logging.LogRecord]) -> None:
    world = await serving()
    lines.clear()
    earlier = len(world.operator.told.lines)
    await world.ask_for("2")
    await world.until(lambda: world.serving() == "2")

    told = list(world.operator.told.lines.values())[earlier:]
    assert [it.message for it in told] == [it.getMessage() for it in lines]
    types = [it.type for it in told if it.fields["audit"] == "decision"]
    assert types[0] == "dev.slipway.rollout.started"
    assert types[-1] == PROMOTED


async def test_a_successor_tells_the_same_under_the_same_ids() -> None:
    world = await serving()
    await world.act("pause")
    await world.live(1)
    await world.act("resume")
    await world.live(1)
    first = world.operator.told
    world.start()
    await world.live(1)

    again = world.operator.told.lines
    assert [it.type for it in again.values()] == ["dev.slipway.action.done", PROMOTED]
    for name, line in again.items():
        assert first.lines[name].at == line.at
        assert first.lines[name].message in line.message or line.type == PROMOTED


@pytest.mark.parametrize("told", [PROMOTED, "dev.slipway.action.done"])
async def test_what_a_killed_operator_did_not_tell_its_successor_tells(told: str) -> None:
    world = await serving()
    await world.ask_for("2", rollout={"steps": [{"weight": 10, "approval": "Required"}]})
    await world.until(lambda: world.stage() == "AwaitingApproval")
    killed = world.operator
    killed.told.kills_before = told

    await world.act("approve")
    await world.until(lambda: world.serving() == "2")
    await world.live(5)

    assert world.operator is not killed
    tellers = [it for it in (killed.told, world.operator.told) if it.of_type(told)]
    assert world.operator.told in tellers
    newest = max(world.operator.told.of_type(told), key=lambda it: it.at)
    assert newest.id not in killed.told.lines
    assert newest.fields["namespace"] == "vision"


async def test_what_is_older_than_an_hour_is_not_told_again() -> None:
    world = await serving()
    world.clock.pass_on(3601)
    world.start()
    await world.live(1)

    assert world.operator.told.lines == {}


async def test_a_rejected_version_is_told_with_its_numbers() -> None:
    world = await serving()
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.until(lambda: ("2", "RolledBack") in world.outcomes())

    [line] = world.operator.told.of_type("dev.slipway.rollout.rolled_back")
    assert line.is_warning
    assert line.fields["ended"] | {"reason": "", "revision": ""} == {  # type: ignore[operator]
        "version": "2",
        "outcome": "RolledBack",
        "reason": "",
        "revision": "",
        "unjudged": None,
    }
    assert "errors" in line.message
