"""What a soak counts: kept in a file, shown in a table, explained."""

from dataclasses import replace
from pathlib import Path

from slipway.api.modeldeployment import Outcome

from tests.load.plan import Wire
from tests.load.record import Totals
from tests.soak.table import is_sound, render
from tests.soak.tally import Ended, Event, Lost, Tally, WayBack, read_tally, write_tally

GOOD = Ended("soaked-1", "v1", Outcome.PROMOTED, Outcome.PROMOTED, "", 1000.0, 40.0)
BAD = Ended("soaked-1", "v2", Outcome.ROLLED_BACK, Outcome.ROLLED_BACK, "errors", 1040.0, 30.0)
BACK = WayBack(
    model="soaked-1",
    revision="bbbb0002",
    trigger="errors 25%",
    decided=1060.0,
    stored=1060.1,
    written=1060.1,
    acknowledged={"one": 1060.3, "two": 1062.4},
    restored=1062.4,
    known=1062.5,
    last_sent={Wire.HTTP: 1060.2, Wire.STREAM: 1063.0},
)
KILLED = Event("operators killed", 1059.5, 1066.0)


def tally(**more: object) -> Tally:
    """Return a sound one: one good version, one bad one, one slow way back."""
    counted = {
        "ended": [GOOD, BAD],
        "backs": [BACK],
        "events": [KILLED],
        "totals": {Wire.HTTP: Totals(900, 20, 20), Wire.GRPC: Totals(300)},
        "seconds": 120.0,
        "models": 1,
        "load_averages": [6.0, 8.0],
        **more,
    }
    return Tally(**counted)  # type: ignore[arg-type]


def test_what_was_counted_outlives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "soak/tally.json"
    assert read_tally(file) == Tally()
    write_tally(tally(), file)
    assert read_tally(file) == tally()


def test_what_the_bad_version_failed_on_purpose_is_no_loss() -> None:
    assert is_sound(tally())


def test_a_lost_request_fails_the_soak_and_is_named_with_what_went_on() -> None:
    lost = Lost(1061.0, "soaked-1", Wire.GRPC, {"UNAVAILABLE reset": 2})
    unsound = tally(lost=[lost], totals={Wire.GRPC: Totals(300, 2)})
    assert not is_sound(unsound)
    line = render(unsound).splitlines()[-1]
    assert "soaked-1 GRPC: 2 times 'UNAVAILABLE reset'" in line
    assert "operators killed at -1.5 s" in line


def test_a_version_that_ended_otherwise_fails_the_soak_and_is_named() -> None:
    unsound = tally(ended=[GOOD, replace(BAD, outcome="Promoted")])
    assert not is_sound(unsound)
    assert "soaked-1 v2 had to be RolledBack, was Promoted" in render(unsound)


def test_a_version_without_an_end_fails_the_soak() -> None:
    assert not is_sound(tally(ended=[replace(GOOD, outcome="", reason="waited in vain")]))


def test_the_slowest_way_back_is_told_moment_by_moment() -> None:
    [line] = [line for line in render(tally()).splitlines() if "bbbb0002" in line]
    assert "2.50 s: soaked-1 bbbb0002" in line
    assert "stored +0.10, route written +0.10, proxy one +0.30, proxy two +2.40" in line
    assert "back +2.40, last HTTP request +0.20" in line
    assert "during it: operators killed at -0.5 s" in line


def test_open_streams_do_not_count_as_requests_after_the_decision() -> None:
    assert BACK.measured_seconds is not None
    assert round(BACK.measured_seconds, 3) == 0.2
