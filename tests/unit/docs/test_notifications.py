"""The page about notifications: its types, its event, its sinks, and what Slack and Teams get."""

import json
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from slipway.adapters.audit_messages import write_message
from slipway.api.reasons import Reason
from slipway.manager.metrics.machine import NORMAL, WARNING
from slipway.policy.audit import ACTION_DONE, ACTION_REFUSED, MOVED, AuditLine, type_of
from slipway.settings import AuditFormat, AuditSettings

from tests.pages import ROOT, blocks
from tests.unit.adapters.test_audit_sinks import Receiver, sending, sent
from tests.unit.reconcile.world import OperatorWorld

PAGE = ROOT / "docs/notifications.md"
TEXT = PAGE.read_text()
PREFIX = "dev.slipway.rollout"


def sinks_of_the_page() -> AuditSettings:
    [values] = [it for it in blocks("yaml") if it.page == PAGE and "sinks:" in it.text]
    return AuditSettings.model_validate(yaml.safe_load(values.text)["audit"])


async def a_promotion() -> AuditLine:
    world = OperatorWorld()
    for version in ("1", "2"):
        await world.ask_for(version)
        await world.until(lambda version=version: world.serving() == version)  # type: ignore[misc]
    return world.operator.told.of_type(f"{PREFIX}.promoted")[-1]


def test_the_page_has_every_type_and_no_other() -> None:
    table = TEXT.split("### Types")[1].split("### ")[0]
    named = re.findall(r"`((?:dev\.slipway|…)\.[a-z_.]+)`", table)
    told = {reason for reason in (*NORMAL, *WARNING) if reason is not Reason.ACTION}

    assert sorted(it.replace("….", f"{PREFIX}.") for it in named) == sorted(
        {*map(type_of, told), MOVED, ACTION_DONE, ACTION_REFUSED}
    )


async def test_the_event_of_the_page_is_one_of_the_operators() -> None:
    [shown] = [json.loads(it.text) for it in blocks("json") if it.page == PAGE]
    message = write_message(await a_promotion(), AuditFormat.CLOUD_EVENTS, shown["source"])
    sent = json.loads(message.body)

    assert message.content_type == "application/cloudevents+json"
    assert shown.keys() == sent.keys()
    assert shown["data"].keys() == sent["data"].keys()
    assert shown["data"]["metrics"] == sent["data"]["metrics"][:1]
    for same in ("ended", "stable", "stage", "weights", "message"):
        assert shown["data"][same] == sent["data"][same]


def test_the_sinks_of_the_page_want_types_that_exist() -> None:
    told = {type_of(reason) for reason in (*NORMAL, *WARNING)} | {ACTION_DONE}
    sinks = sinks_of_the_page().sinks

    assert [sink.format.value for sink in sinks] == ["CloudEvents", "Slack", "Teams"]
    for wanted in sinks[1].types:
        only = sinks[1].model_copy(update={"types": [wanted]})
        assert any(only.wants(it) for it in told), wanted
    assert not sinks[1].wants(MOVED)
    assert sinks[0].wants(MOVED)


def said(line: AuditLine, form: AuditFormat) -> Any:
    return json.loads(write_message(line, form, "/slipway").body)


async def test_slack_gets_text_that_calls_nobody() -> None:
    line = replace(await a_promotion(), message="<!channel> & <https://evil.example|look>")

    assert said(line, AuditFormat.SLACK) == {
        "text": "*vision/digits: Promoted, version 2*\n"
        "&lt;!channel&gt; &amp; &lt;https://evil.example|look&gt;"
    }


async def test_teams_gets_a_card_whose_text_is_no_markdown() -> None:
    line = replace(await a_promotion(), message="[look](https://evil.example)", is_warning=True)
    card = said(line, AuditFormat.TEAMS)

    [attachment] = card["attachments"]
    assert card["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    body = attachment["content"]["body"]
    assert {it["type"] for it in body} == {"RichTextBlock"}
    assert [run["text"] for it in body for run in it["inlines"]] == [
        "vision/digits: Promoted, version 2",
        "[look](https://evil.example)",
    ]
    assert body[0]["inlines"][0]["color"] == "Attention"


async def test_the_sinks_of_the_page_reach_their_receivers(tmp_path: Path) -> None:
    receivers = {name: Receiver() for name in ("archive", "slack", "teams")}
    async with AsyncExitStack() as stack:
        sinks = []
        for sink in sinks_of_the_page().sinks:
            (tmp_path / sink.name).write_text(
                await stack.enter_async_context(receivers[sink.name].serving())
            )
            given = {"url": "", "url_file": str(tmp_path / sink.name), "authorization_file": ""}
            sinks.append(sink.model_copy(update=given))
        sending_all = await stack.enter_async_context(sending(*sinks))
        promotion = await a_promotion()
        elsewhere = replace(promotion, id="2", fields={**promotion.fields, "namespace": "speech"})
        sending_all.offer([promotion, elsewhere, replace(promotion, id="3", type=MOVED)])
        await sent(sending_all)

    assert {name: len(it.taken) for name, it in receivers.items()} == {
        "archive": 3,
        "slack": 2,
        "teams": 1,
    }
    [card] = receivers["teams"].taken
    assert card.headers["Content-Type"] == "application/json"
    assert json.loads(card.body) == said(promotion, AuditFormat.TEAMS)
    assert json.loads(receivers["slack"].taken[0].body) == said(promotion, AuditFormat.SLACK)


@pytest.mark.parametrize("form", [AuditFormat.SLACK, AuditFormat.TEAMS])
async def test_a_message_for_people_is_short(form: AuditFormat) -> None:
    line = replace(await a_promotion(), message="x" * 50_000)

    assert len(json.dumps(said(line, form))) < 3_000
