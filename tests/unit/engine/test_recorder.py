"""Events: written once, counted when repeated, never in the way of a pass."""

import pytest
from slipway.api.base import Manifest
from slipway.engine.recorder import OBJECT_BURST, REPEAT_SECONDS, EventRecorder

from tests.unit.engine.fakes import FakeClock, FakeEvents

DIGITS: Manifest = {
    "apiVersion": "slipway.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"namespace": "vision", "name": "digits", "uid": "u1"},
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sink() -> FakeEvents:
    return FakeEvents()


@pytest.fixture
def recorder(sink: FakeEvents, clock: FakeClock) -> EventRecorder:
    return EventRecorder(sink, now=clock)


async def say(recorder: EventRecorder, message: str = "5 % reached") -> None:
    await recorder.record(DIGITS, warning=False, reason="Advanced", message=message)


async def test_a_repeat_within_minutes_is_not_written(
    recorder: EventRecorder, sink: FakeEvents
) -> None:
    for _ in range(3):
        await say(recorder)
    assert sink.writes == 1


async def test_a_later_repeat_raises_the_count_by_all_that_were_not_written(
    recorder: EventRecorder, sink: FakeEvents, clock: FakeClock
) -> None:
    for _ in range(3):
        await say(recorder)
    clock.forward(REPEAT_SECONDS + 1)
    await say(recorder)

    assert list(sink.counts.values()) == [4]


async def test_a_restarted_operator_does_not_repeat_its_predecessor(
    recorder: EventRecorder, sink: FakeEvents, clock: FakeClock
) -> None:
    await say(recorder)
    sink.written_recently = True
    await say(EventRecorder(sink, now=clock))
    assert sink.writes == 1


async def test_other_words_are_another_event(recorder: EventRecorder, sink: FakeEvents) -> None:
    await say(recorder, "5 % reached")
    await say(recorder, "25 % reached")
    assert sink.messages == ["5 % reached", "25 % reached"]


async def test_an_event_that_expired_is_written_anew(
    recorder: EventRecorder, sink: FakeEvents, clock: FakeClock
) -> None:
    await say(recorder)
    sink.counts.clear()
    clock.forward(REPEAT_SECONDS + 1)
    await say(recorder)

    assert list(sink.counts.values()) == [1]


async def test_an_object_that_talks_too_much_is_cut_off(
    recorder: EventRecorder, sink: FakeEvents, clock: FakeClock
) -> None:
    for number in range(50):
        await say(recorder, f"{number} %")
    assert sink.writes == OBJECT_BURST
    assert recorder.dropped == 50 - OBJECT_BURST

    clock.forward(5)
    await say(recorder, "later")
    assert sink.messages[-1] == "later"


async def test_an_api_server_that_is_away_is_not_the_callers_trouble(
    recorder: EventRecorder, sink: FakeEvents
) -> None:
    sink.is_down = True
    await say(recorder)
    sink.is_down = False
    await say(recorder)

    assert sink.messages == ["5 % reached"]


async def test_a_message_is_cut_to_what_the_api_server_takes(
    recorder: EventRecorder, sink: FakeEvents
) -> None:
    await say(recorder, "ü" * 2000)
    assert len(sink.messages[0].encode()) <= 1024
