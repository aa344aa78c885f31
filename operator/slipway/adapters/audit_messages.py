"""What sinks of the audit trail are sent: events of CloudEvents, or messages for people."""

import importlib
import json
from dataclasses import dataclass
from typing import Any

from slipway.policy.audit import AuditLine
from slipway.settings import AuditFormat

JSON = "application/json"
CARD = "application/vnd.microsoft.card.adaptive"
CARD_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
CARD_VERSION = "1.2"
"""The first with RichTextBlock, whose text is not read as Markdown."""
LONGEST_MESSAGE = 2_000
"""Characters of a message for people; Slack cuts longer ones."""
SLACK_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""What Slack asks for, so that no text of ours becomes a link or calls a channel."""


@dataclass(frozen=True, slots=True)
class AuditMessage:
    """The body of a request, and what it is."""

    content_type: str
    body: bytes


def load_library() -> None:
    """Import what CloudEvents are written with: a tenth of a second, which no pass should wait."""
    importlib.import_module("cloudevents.core.bindings.http")


def write_message(line: AuditLine, form: AuditFormat, source: str) -> AuditMessage:
    """Return the line as a sink wants it; `source` is that of CloudEvents."""
    match form:
        case AuditFormat.CLOUD_EVENTS:
            return _write_cloud_event(line, source)
        case AuditFormat.SLACK:
            return _write_json(_make_slack_message(line))
        case AuditFormat.TEAMS:
            return _write_json(_make_teams_message(line))


def _write_cloud_event(line: AuditLine, source: str) -> AuditMessage:
    from cloudevents.core.bindings.http import (  # noqa: PLC0415 -- heavy: only where it is sent
        to_structured_event,
    )
    from cloudevents.core.v1.event import CloudEvent  # noqa: PLC0415 -- the same

    fields = line.fields
    attributes = {
        "id": line.id,
        "source": source,
        "type": line.type,
        "subject": f"{fields['namespace']}/{fields['object']}",
        "time": line.at,
        "datacontenttype": JSON,
    }
    data = {"message": line.message, "warning": line.is_warning, **fields}
    # NaN is no JSON
    clean = json.loads(json.dumps(data, default=str), parse_constant=lambda _: None)
    message = to_structured_event(CloudEvent(attributes, clean))
    return AuditMessage(message.headers["content-type"], message.body)


def _make_slack_message(line: AuditLine) -> dict[str, Any]:
    """Return a message of an incoming webhook: https://docs.slack.dev/messaging/."""
    title, text = (_escape_for_slack(part) for part in _say(line))
    sign = ":warning: " if line.is_warning else ""
    return {"text": f"{sign}*{title}*\n{text}"}


def _make_teams_message(line: AuditLine) -> dict[str, Any]:
    """Return a card for a webhook of the Workflows app of Teams, as Alertmanager sends it."""
    title, text = _say(line)
    colour = "Attention" if line.is_warning else "Default"
    bold = {"type": "TextRun", "text": title, "weight": "Bolder", "color": colour}
    content = {
        "$schema": CARD_SCHEMA,
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "body": [
            {"type": "RichTextBlock", "inlines": [bold]},
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]},
        ],
    }
    card = {"contentType": CARD, "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [card]}


def _say(line: AuditLine) -> tuple[str, str]:
    """Return title and text: which object, what happened, to which version, and why."""
    fields, ended = line.fields, line.fields.get("ended")
    what = fields.get("verb") if fields["audit"] == "action" else fields.get("reason")
    version = ended["version"] if isinstance(ended, dict) else fields["version"]
    title = f"{fields['namespace']}/{fields['object']}: {what}, version {version}"
    return title, line.message[:LONGEST_MESSAGE]


def _escape_for_slack(text: str) -> str:
    return "".join(SLACK_ESCAPES.get(letter, letter) for letter in text)


def _write_json(message: dict[str, Any]) -> AuditMessage:
    return AuditMessage(JSON, json.dumps(message).encode())
