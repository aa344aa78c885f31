"""The recordings are what the operator writes today, and every one of them can be drawn."""

import pytest
from slipway.api.modeldeployment import ModelDeploymentStatus, Stage
from slipway.cli.text import WIDE
from slipway.cli.views.coming import STAGES, coming
from slipway.cli.views.describe import describe
from slipway.cli.views.listing import change, listing

from tests.unit.cli.recordings import ALL, plain, recording, say


def test_every_stage_is_recorded() -> None:
    seen = {recording(name).md.rollout.stage for name in ALL}
    assert seen == {stage.value for stage in Stage} == set(STAGES)


@pytest.mark.parametrize("name", ALL)
def test_a_recording_is_a_status_of_this_version(name: str) -> None:
    status = recording(name).manifest["status"]
    assert ModelDeploymentStatus.model_validate(status).wire().keys() >= status.keys()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [80, 120, WIDE])
def test_a_screen_fits_its_terminal_and_says_what_happens_next(name: str, width: int) -> None:
    found = recording(name)
    screen = plain(describe(found.md, found.now, say, width=width))
    long = [row for row in screen.splitlines() if len(row) > width]
    assert not [row for row in long if "kubectl" not in row], "only commands are never wrapped"
    assert "  next  " in screen
    assert coming(found.md, found.now, say)


@pytest.mark.parametrize("name", ALL)
def test_the_table_and_the_line_name_object_and_reason(name: str) -> None:
    found = recording(name)
    ready = found.md.condition("Ready")
    assert ready is not None
    for screen in (listing([found.md], found.now, namespaces=True), change(found.md, found.now)):
        assert "digits" in plain(screen)
        assert ready.message in plain(screen)
