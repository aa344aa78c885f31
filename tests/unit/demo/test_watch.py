"""Streams of kubectl that break off: a program stands in for it."""

import stat
import sys
from pathlib import Path

from tests.demo.watch import StatusWatch
from tests.kubectl import Kubectl
from tests.load.plan import LoadPlan
from tests.load.pod import Load
from tests.load.record import Record, Totals

DEADLINE_SECONDS = 20.0

STAND_IN = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
kind = "logs" if "logs" in sys.argv else "watch"
if kind == "logs" or "--watch" in sys.argv:
    count = len(list(here.glob(kind + ".call.*")))
    (here / f"{{kind}}.call.{{count}}").touch()
    text = here / f"{{kind}}.{{count}}"
    if text.exists():
        print(text.read_text(), end="")
"""


def kubectl_that_prints(place: Path, kind: str, *texts: str) -> Kubectl:
    """Return a kubectl whose first stream has the first text, its next one the second."""
    program = place / "kubectl"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for number, text in enumerate(texts):
        (place / f"{kind}.{number}").write_text(text)
    return Kubectl(program, place / "kubeconfig")


def test_a_watch_that_breaks_off_goes_on_with_the_newest_status(tmp_path: Path) -> None:
    first = '\n{"observedGeneration": 1}\n{"observedGeneration": 2}\n{"obser'
    kubectl = kubectl_that_prints(tmp_path, "watch", first, '{"observedGeneration": 3}\n')

    with StatusWatch(kubectl, "here", "digits") as watch:
        seen = [watch.next(DEADLINE_SECONDS) for _ in range(3)]

    assert [status.observed_generation for status in seen if status] == [1, 2, 3]


def test_no_status_in_time_is_none(tmp_path: Path) -> None:
    with StatusWatch(kubectl_that_prints(tmp_path, "watch"), "here", "digits") as watch:
        assert watch.next(0.01) is None


def test_a_load_is_followed_over_a_log_that_breaks_off(tmp_path: Path) -> None:
    seconds = [
        Record(t=100 + n, counts=Totals(5), total=Totals(5 * (n + 1)), last=n == 3)
        for n in range(4)
    ]
    lines = [f"{record.to_line()}\n" for record in seconds]
    kubectl = kubectl_that_prints(tmp_path, "logs", "".join(lines[:2]), "".join(lines))
    plan = LoadPlan(address="digits:8000", model="digits", images=[[0.5]])
    load = Load(kubectl, "here", "image", plan)

    load.start()
    assert load.stop(DEADLINE_SECONDS) == Totals(20)
    load.remove()
    assert load.records() == seconds
