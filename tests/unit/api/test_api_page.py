"""docs/api.md: every field once, with what a user needs to write it."""

import re

import pytest
from slipway.api.api_page import render_api_page

PAGE = render_api_page()
ROWS = {
    (section, name): f"{kind} | {meaning}"
    for section, text in re.findall(r"(?ms)^#{3,4} ([^\n]+)\n(.*?)(?=^#{2,4} |\Z)", PAGE)
    for name, kind, meaning in re.findall(r"(?m)^\| \[?`([^`]+)`\S* \| (.*?) \| (.*) \|$", text)
}


@pytest.mark.parametrize(
    ("section", "name", "row"),
    [
        ("spec.rollout", "bakeSeconds", "Default: `600`."),
        ("ModelDeployment spec", "paused", "Default: `false`."),
        ("spec.model", "goldenSet.minAgreement", "Default: `1`."),
    ],
)
def test_defaults_are_shown_as_users_write_them(section: str, name: str, row: str) -> None:
    assert ROWS[section, name].endswith(row)


def test_an_object_shows_no_default_since_its_fields_have_theirs() -> None:
    assert "Default" not in ROWS["ModelDeployment spec", "rollout"]
    assert "{'" not in PAGE


@pytest.mark.parametrize(
    ("section", "name", "row"),
    [
        ("spec.model", "version", "string, at most 63 characters | **Required.** "),
        ("spec.rollout", "steps[].weight", "integer, 1 to 99 | **Required.** "),
        ("spec.rollout.analysis", "maxHarm", "number, above 0, at most 1 | "),
        ("spec.server", "protocols", "list of `HTTP`, `GRPC`, at most 2 | "),
        ("status.rollout", "startedAt", "time | "),
        ("status.rollout", "message", "string | "),
    ],
)
def test_a_row_begins_with_the_type_and_its_limits(section: str, name: str, row: str) -> None:
    assert ROWS[section, name].startswith(row)


def test_every_field_has_a_meaning() -> None:
    silent = [key for key, row in ROWS.items() if row.endswith("| ")]

    assert silent == []


def test_the_same_object_is_described_once() -> None:
    assert "Same fields as [`status.stable`](#statusstable)." in PAGE
    assert ("status.candidate", "revision") not in ROWS


def test_rules_stand_below_the_table_that_they_are_about() -> None:
    rollout, analysis = (
        PAGE.split(f"\n#### {name}\n")[1].split("\n#### ")[0]
        for name in ("spec.rollout", "spec.rollout.analysis")
    )

    assert "* weights must increase with every step" in rollout
    assert "* this name is reserved for a built-in metric" in analysis
    assert "reserved" not in rollout
