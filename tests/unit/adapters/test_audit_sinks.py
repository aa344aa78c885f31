"""Sinks of the audit trail over real connections: what is lost, and what is told twice."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from slipway.adapters import audit_sinks
from slipway.adapters.audit_sinks import AuditSinks, pause_seconds
from slipway.policy.audit import AuditLine
from slipway.settings import AuditSettings, AuditSink

from tests.unit.agent.waiting import until

AT = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
PROMOTED = AuditLine(
    id="uid/3a1e3eef/Promoted/2026-11-29T09:00:00.000Z",
    type="dev.slipway.rollout.promoted",
    at=AT,
    message="version 2, revision 3a1e3eef",
    fields={
        "audit": "decision",
        "by": "slipway",
        "reason": "Promoted",
        "namespace": "vision",
        "object": "digits",
        "version": "2",
        "ended": {"revision": "3a1e3eef", "version": "2", "outcome": "Promoted"},
        "metrics": [{"name": "errors", "candidate": float("nan"), "samples": 680}],
    },
)
ENOUGH_SECONDS = 20


def line(number: int, **changes: Any) -> AuditLine:
    return replace(PROMOTED, id=f"uid/{number}", **changes)


@dataclass
class Receiver:
    """Answers as it is told to, and then takes everything."""

    answers: list[web.Response | float] = field(default_factory=list)
    """Of the first requests: an answer, or seconds without one."""
    requests: list[HTTPMessage] = field(default_factory=list)
    taken: list[HTTPMessage] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        message = HTTPMessage(dict(request.headers), await request.read())
        self.requests.append(message)
        answer = self.answers.pop(0) if self.answers else web.Response(status=204)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = web.Response(status=204)
        if answer.status == 204:
            self.taken.append(message)
        return answer

    @property
    def ids(self) -> list[str]:
        return [json.loads(it.body)["id"] for it in self.taken]

    @asynccontextmanager
    async def serving(self, port: int | None = None) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_post("/", self.take)
        async with TestServer(application, port=port) as server:
            yield str(server.make_url("/"))


@asynccontextmanager
async def sending(*sinks: AuditSink, **options: Any) -> AsyncIterator[AuditSinks]:
    found = AuditSinks(AuditSettings(sinks=list(sinks)), pause=lambda _: 0.01, **options)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await found.close()


def a_sink(url: str, **settings: Any) -> AuditSink:
    return AuditSink.model_validate({"name": "audit", "url": url, **settings})


async def sent(sinks: AuditSinks) -> dict[str, int]:
    """Wait until nothing is left; return how many events ended in which way."""
    await sinks.flush(ENOUGH_SECONDS)
    return {result: number for _, result, number in sinks.results() if number}


async def test_an_event_is_one_of_cloud_events() -> None:
    receiver = Receiver()
    async with receiver.serving() as url, sending(a_sink(url)) as sinks:
        sinks.offer([PROMOTED])
        assert await sent(sinks) == {"delivered": 1}

    [message] = receiver.taken
    event = from_http_event(message)
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": PROMOTED.id,
        "source": "/slipway",
        "type": "dev.slipway.rollout.promoted",
        "subject": "vision/digits",
        "time": AT,
        "datacontenttype": "application/json",
    }
    data = event.get_data()
    assert isinstance(data, dict)
    assert data["message"] == "version 2, revision 3a1e3eef"
    assert data["ended"]["version"] == "2"
    assert data["metrics"] == [{"name": "errors", "candidate": None, "samples": 680}]


@pytest.mark.parametrize("status", [301, 401, 404, 408, 429, 500, 503])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    receiver = Receiver([web.Response(status=status)] * 3)
    async with receiver.serving() as url, sending(a_sink(url)) as sinks:
        sinks.offer([line(1), line(2)])
        assert await sent(sinks) == {"delivered": 2}

    assert receiver.ids == ["uid/1", "uid/2"]
    assert len(receiver.requests) == 5


@pytest.mark.parametrize("status", sorted(audit_sinks.REFUSES))
async def test_what_is_refused_is_dropped_counted_and_logged(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver([web.Response(status=status)])
    async with receiver.serving() as url, sending(a_sink(url)) as sinks:
        sinks.offer([line(1), line(2)])
        assert await sent(sinks) == {"refused": 1, "delivered": 1}

    assert receiver.ids == ["uid/2"]
    [record] = caplog.records
    assert record.getMessage() == f"an event for sink audit was dropped: HTTP {status}"
    assert vars(record)["event"] == "uid/1"


async def test_an_event_that_always_fails_lets_the_others_pass() -> None:
    receiver = Receiver([web.Response(status=500)] * audit_sinks.TRIES_IN_ORDER)
    async with receiver.serving() as url, sending(a_sink(url)) as sinks:
        sinks.offer([line(1), line(2), line(3)])
        assert await sent(sinks) == {"delivered": 3}

    assert receiver.ids == ["uid/2", "uid/3", "uid/1"]


async def test_a_slow_receiver_is_asked_again_and_holds_up_no_other() -> None:
    slow, quick = Receiver([30.0]), Receiver()
    async with slow.serving() as a, quick.serving() as b:
        lame = AuditSink(name="lame", url=a, timeout_seconds=0.2)
        async with sending(lame, a_sink(b)) as sinks:
            sinks.offer([line(1)])
            await until("the quick one has it", lambda: quick.ids == ["uid/1"])
            assert await sent(sinks) == {"delivered": 1}
            assert [number for _, result, number in sinks.results() if result == "delivered"] == [
                1,
                1,
            ]

    assert slow.ids == ["uid/1"]


async def test_a_receiver_that_restarts_gets_everything_in_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver, port = Receiver(), unused_port()
    async with sending(a_sink(f"http://127.0.0.1:{port}/")) as sinks:
        async with receiver.serving(port):
            sinks.offer([line(1)])
            await sent(sinks)
        sinks.offer([line(2), line(3)])
        await until("the log has it", lambda: "takes no events" in caplog.text)
        async with receiver.serving(port):
            assert await sent(sinks) == {"delivered": 3}

    assert receiver.ids == ["uid/1", "uid/2", "uid/3"]


async def test_the_pause_that_a_receiver_asks_for_is_kept() -> None:
    slept: list[float] = []
    receiver = Receiver([web.Response(status=429, headers={"Retry-After": "7"})])
    async with receiver.serving() as url:
        found = AuditSinks(AuditSettings(sinks=[a_sink(url)]))
        found.offer([line(1)])
        [delivery] = found.deliveries
        slept.append(await delivery._deliver(delivery._take()))
        await found.close()

    assert slept == [7.0]
    assert delivery.waiting == 1


async def test_a_queue_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_sinks, "MOST_WAITING", 3)
    receiver = Receiver()
    async with receiver.serving() as url, sending(a_sink(url)) as sinks:
        sinks.offer(line(number) for number in range(5))
        assert await sent(sinks) == {"overflowed": 2, "delivered": 3}

    assert receiver.ids == ["uid/2", "uid/3", "uid/4"]


async def test_after_an_hour_of_failures_an_event_is_dropped() -> None:
    receiver = Receiver([web.Response(status=503)])
    hours: Iterator[float] = iter([0.0, 3601.0])
    async with (
        receiver.serving() as url,
        sending(a_sink(url), now=lambda: next(hours)) as sinks,
    ):
        sinks.offer([line(1)])
        assert await sent(sinks) == {"expired": 1}


async def test_an_id_is_sent_once() -> None:
    receiver = Receiver()
    async with receiver.serving() as url, sending(a_sink(url)) as sinks:
        sinks.offer([line(1)])
        sinks.offer([line(1, message="recalled"), line(2)])
        await sent(sinks)

    assert receiver.ids == ["uid/1", "uid/2"]


async def test_address_and_header_are_read_for_every_request(tmp_path: Path) -> None:
    address, token = tmp_path / "url", tmp_path / "token"
    receiver = Receiver()
    async with receiver.serving() as url:
        address.write_text(f"{url}\n")
        token.write_text("Bearer old\n")
        sink = AuditSink(name="audit", url_file=str(address), authorization_file=str(token))
        async with sending(sink) as sinks:
            sinks.offer([line(1)])
            await sent(sinks)
            token.write_text("Bearer new\n")
            sinks.offer([line(2)])
            await sent(sinks)

    assert [it.headers["Authorization"] for it in receiver.taken] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("text", [None, "", "ftp://secret-path", "secret-path"])
async def test_a_file_without_an_address_is_said_and_no_address_ever(
    text: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "url"
    if text is not None:
        path.write_text(text)
    async with sending(AuditSink(name="chat", url_file=str(path))) as sinks:
        sinks.offer([line(1)])
        await until("the log has it", lambda: "takes no events" in caplog.text)
        assert list(sinks.waiting()) in ([("chat", 0)], [("chat", 1)])

    assert "secret-path" not in caplog.text


async def test_a_sink_gets_the_types_and_namespaces_that_it_wants() -> None:
    receiver = Receiver()
    async with receiver.serving() as url:
        wanted = ["dev.slipway.rollout.promoted", "dev.slipway.action.*"]
        sink = a_sink(url, types=wanted, namespaces=["vision"])
        async with sending(sink) as sinks:
            elsewhere = {**PROMOTED.fields, "namespace": "speech"}
            sinks.offer(
                [
                    line(1),
                    line(2, type="dev.slipway.action.refused"),
                    line(3, type="dev.slipway.rollout.rolled_back"),
                    line(4, fields=elsewhere),
                ]
            )
            await sent(sinks)

    assert receiver.ids == ["uid/1", "uid/2"]


async def test_people_are_not_told_again_what_a_predecessor_told() -> None:
    chat, archive = Receiver(), Receiver()
    async with chat.serving() as a, archive.serving() as b:
        slack = AuditSink.model_validate({"name": "slack", "url": a, "format": "Slack"})
        async with sending(slack, a_sink(b)) as sinks:
            sinks.offer([line(1, fields={**PROMOTED.fields, "recalled": True})])
            await until("the archive has it", lambda: archive.ids == ["uid/1"])

    assert chat.requests == []


async def test_without_sinks_nothing_is_kept() -> None:
    sinks = AuditSinks(AuditSettings())
    sinks.offer([PROMOTED])

    assert not sinks.is_on
    assert not sinks._known
    await sinks.run()


def test_an_operator_without_sinks_loads_no_library_for_them() -> None:
    code = "import sys, slipway.manager.main; print('cloudevents' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_pauses_grow_to_a_minute() -> None:
    pauses = [pause_seconds(failures) for failures in range(1, 2000)]
    assert 0.5 <= pauses[0] <= 1
    assert max(pauses) <= 60
    assert min(pauses[10:]) >= 30
