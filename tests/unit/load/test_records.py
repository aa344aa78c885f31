"""Counting, the lines in the log, and how they are put together again."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kubectl import Kubectl
from tests.load.ledger import Answer, Ledger
from tests.load.plan import LoadPlan, Wire, read_plan
from tests.load.pod import SOURCES, Load, render_load
from tests.load.record import Record, Totals, parse_line

PLAN = LoadPlan(address="digits:8000", model="digits", images=[[0.5]])
GOOD = Answer("aaaa0001")
PLANTED = Answer("bbbb0002", "500 PLANTED", by_model=True)
LOST = Answer(cause="503 no healthy upstream")


def ledger_with(*answers: Answer) -> Ledger:
    ledger = Ledger(now=100.0)
    for millis, answer in enumerate(answers, start=1):
        ledger.note(answer, float(millis))
    return ledger


def test_a_second_says_who_answered_and_what_failed() -> None:
    record = ledger_with(GOOD, GOOD, GOOD, PLANTED, LOST).close(101.0)
    assert record.counts == Totals(sent=5, failed=2, failed_by_model=1)
    assert record.revisions == {"aaaa0001": 3, "bbbb0002": 1, "none": 1}
    assert record.causes == {"500 PLANTED": 1, "503 no healthy upstream": 1}
    assert record.percent_of("bbbb0002") == 20
    assert (record.p50_millis, record.p99_millis) == (3, 5)


def test_totals_add_up_over_seconds() -> None:
    ledger = ledger_with(GOOD, LOST)
    ledger.close(101.0)
    ledger.note(PLANTED, 1.0)
    assert ledger.close(102.0, last=True).total == Totals(sent=3, failed=2, failed_by_model=1)


def test_a_timer_that_wakes_early_makes_no_second_twice() -> None:
    ledger = Ledger(now=100.0)
    seconds = [ledger.close(now).t for now in (100.999, 101.999, 103.001)]
    assert seconds == [100, 101, 102]


def test_an_empty_second_is_a_record_too() -> None:
    record = Ledger(now=100.0).close(101.0)
    assert (record.counts, record.percent_of("aaaa0001")) == (Totals(), 0.0)


def test_what_the_model_failed_is_not_lost() -> None:
    assert Totals(sent=10, failed=4, failed_by_model=3).lost == 1


def test_a_line_reads_back_as_the_record() -> None:
    record = ledger_with(GOOD, PLANTED).close(101.0, last=True)
    assert parse_line(record.to_line()) == record


@pytest.mark.parametrize("line", ["", "{", "Traceback (most recent call last):", "[]", "{}"])
def test_other_text_in_the_log_is_no_record(line: str) -> None:
    assert parse_line(line) is None


def test_a_log_that_is_read_again_counts_nothing_twice() -> None:
    load = Load(Kubectl(), "here", "image", PLAN)
    first = Record(t=100, counts=Totals(5), total=Totals(5))
    second = Record(t=101, counts=Totals(5), total=Totals(10))
    load._read([first.to_line(), second.to_line()])
    load._read([first.to_line(), second.to_line()])

    assert load.records() == [first, second]
    assert load.records(since=101) == [second]
    assert load.total == Totals(10)


def test_a_plan_reads_back(tmp_path: Path) -> None:
    plan = replace(PLAN, wire=Wire.GRPC, headers={"x-candidate": "true"})
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert read_plan(tmp_path / "plan.json") == plan


def test_the_pod_gets_all_the_code_that_the_client_imports(tmp_path: Path) -> None:
    config_map, pod = render_load("here", "load", "image", PLAN)
    for item in pod["spec"]["volumes"][0]["configMap"]["items"]:
        place = tmp_path / item["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(config_map["data"][item["key"]])
    script = "import sys; sys.path[:0] = [sys.argv[1]]; import tests.load.client as c; print(c)"
    words = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert set(SOURCES) <= set(config_map["data"])
