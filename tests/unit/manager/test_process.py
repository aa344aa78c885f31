"""The process around the machinery: kopf's settings, health, logs."""

import itertools
import json
import logging

import aiohttp
import pytest
from slipway.engine import log_context
from slipway.manager.health_server import Check, HealthServer
from slipway.manager.kopf_watch import EndlessBackoff, kopf_settings
from slipway.manager.logs import JsonFormatter


def test_kopf_writes_nothing_and_scans_nothing() -> None:
    settings = kopf_settings()
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert settings.peering.standalone is True


def test_patience_has_no_end_and_starts_anew_for_each_request() -> None:
    backoff = EndlessBackoff()
    first = list(itertools.islice(backoff, 100))
    assert max(first) <= 36
    assert next(iter(backoff)) < 1


async def test_health_names_what_is_not_true(unused_tcp_port: int) -> None:
    facts = {"ready": False}
    server = HealthServer(
        port=unused_tcp_port,
        alive=[Check("the watches run", lambda: True)],
        ready=[Check("the cache is filled", lambda: facts["ready"])],
        metrics=lambda: lambda: b"slipway_is_leader 1.0\n",
    )

    await server.start()
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with aiohttp.ClientSession() as session:
        assert (await session.get(f"{url}/healthz")).status == 200
        ready = await session.get(f"{url}/readyz")
        assert (ready.status, await ready.text()) == (503, "failed: the cache is filled\n")
        facts["ready"] = True
        assert (await session.get(f"{url}/readyz")).status == 200
        metrics = await (await session.get(f"{url}/metrics")).text()
    await server.stop()

    assert metrics == "slipway_is_leader 1.0\n"


def test_a_log_line_is_one_json_object_with_what_it_is_about_and_the_callers_keys() -> None:
    record = logging.makeLogRecord({"name": "slipway", "msg": "step %d", "args": (2,)})
    record.__dict__["reason"] = "Promoted"

    log_context.begin_pass(kind="ModelDeployment", namespace="vision", name="digits")
    log_context.add_fields(revision="0badcafe", other=None)
    record.exc_info = (ValueError, ValueError("boom"), None)
    line = json.loads(JsonFormatter().format(record))

    assert line["message"] == "step 2"
    assert line["reason"] == "Promoted"
    assert [line[key] for key in ("kind", "namespace", "name")] == [
        "ModelDeployment",
        "vision",
        "digits",
    ]
    assert line["revision"] == "0badcafe"
    assert "other" not in line
    assert "ValueError: boom" in line["traceback"]


@pytest.mark.parametrize("path", ["/", "/debug"])
async def test_nothing_else_is_served(unused_tcp_port: int, path: str) -> None:
    server = HealthServer(port=unused_tcp_port, alive=[], ready=[], metrics=lambda: bytes)
    await server.start()
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{unused_tcp_port}{path}")
    await server.stop()

    assert answer.status == 404
