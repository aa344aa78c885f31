"""The recordings are what the operator writes today, and every one of them can be drawn."""

import json
from pathlib import Path

import pytest
from slipway.api.modeldeployment import ModelDeploymentStatus, Stage
from slipway.cli.text import WIDE
from slipway.cli.views.listing import format_change, format_listing
from slipway.cli.views.next_steps import STAGES

from tests.unit.cli.record import STORIES, record_story
from tests.unit.cli.recordings import (
    ALL,
    COMMAND,
    RECORDED,
    page_with_screens,
    plain,
    recording,
    screens_of_pages,
)


def test_every_stage_is_recorded() -> None:
    seen = {recording(name).md.rollout.stage for name in ALL}
    assert seen == {stage.value for stage in Stage} == set(STAGES)
    assert set(ALL) == set(STORIES)


@pytest.mark.parametrize("name", ALL)
def test_a_recording_is_a_status_of_this_version(name: str) -> None:
    status = recording(name).manifest["status"]
    assert ModelDeploymentStatus.model_validate(status).wire().keys() >= status.keys()


@pytest.mark.parametrize("name", ALL)
async def test_a_recording_is_what_the_operator_writes_today(name: str) -> None:
    recorded = json.loads((RECORDED / f"{name}.json").read_text())

    assert await record_story(STORIES[name]) == recorded, f"stale; record it anew: {COMMAND}"


@pytest.mark.parametrize("path", screens_of_pages(), ids=lambda path: path.name)
def test_a_page_shows_the_screens_of_today(path: Path) -> None:
    page = path.read_text()

    assert page_with_screens(page, screens_of_pages()[path]) == page, (
        f"stale; write them anew: {COMMAND}"
    )


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [80, 120, WIDE])
def test_a_screen_fits_its_terminal_and_says_what_happens_next(name: str, width: int) -> None:
    found = recording(name)

    screen = found.screen(width)

    long = [row for row in screen.splitlines() if len(row) > width]
    assert not [row for row in long if "kubectl" not in row], "only commands are never wrapped"
    assert "  next  " in screen
    assert found.next_steps()


@pytest.mark.parametrize("name", ALL)
def test_the_table_and_the_line_name_object_and_reason(name: str) -> None:
    found = recording(name)
    ready = found.md.condition("Ready")
    assert ready is not None

    table = format_listing([found.md], found.now, namespaces=True)
    line = format_change(found.md, found.now)

    for screen in (table, (line,)):
        assert "digits" in plain(screen)
        assert ready.message in plain(screen)
