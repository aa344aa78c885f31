"""Slipway beside Argo Rollouts: what the table says of given figures, and where there are none."""

from pathlib import Path

import pytest

from tests.bench.peers import __main__ as bench
from tests.bench.peers.comparison import Comparison, compare, format_comparisons

KEYS = (
    *("create p50", "create p95", "change p50", "change p95", "at once"),
    *("writes", "controller", "server", "memory"),
)


def figures(**changed: float) -> dict[str, float]:
    return dict.fromkeys(KEYS, 10.0) | {
        key.replace("_", " "): value for key, value in changed.items()
    }


def a_comparison(theirs: list[float], ours: list[float], *, most: float = 1.25) -> Comparison:
    return Comparison("create", "ms", theirs, ours, most_ratio=most)


def test_the_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians() -> None:
    slow_third_round = a_comparison([10, 20, 100], [12, 20, 200])

    assert slow_third_round.ratios == (1.2, 1.0, 2.0)
    assert slow_third_round.ratio == 1.2
    assert slow_third_round.is_met


@pytest.mark.parametrize(("ours", "is_met"), [(12.5, True), (12.6, False)])
def test_a_ratio_is_met_up_to_its_target(ours: float, is_met: bool) -> None:
    assert a_comparison([10], [ours]).is_met is is_met


def test_a_target_without_a_ratio_is_about_ours_alone() -> None:
    rows = {row.what.strip(): row for row in compare(200, [figures()], [figures(controller=13.0)])}

    assert rows["processor time each, controller"].is_met is False
    assert rows["processor time each, API server and etcd"].is_met
    assert rows["writes each"].is_met is None


@pytest.mark.parametrize(("number", "seconds"), [(200, 4), (1000, 20)])
def test_many_at_once_are_promised_fifty_a_second(number: int, seconds: float) -> None:
    row = next(row for row in compare(number, [figures()], [figures()]) if "at once" in row.what)

    assert row.what.startswith(f"{number:,} at once")
    assert row.most == seconds


def test_the_table_has_both_sides_their_ratio_and_its_range() -> None:
    theirs = [figures(create_p50=8.0), figures(create_p50=10.0)]
    ours = [figures(create_p50=12.0), figures(create_p50=13.0)]

    head, _, first, *_ = format_comparisons(compare(200, theirs, ours))

    assert head.split() == (
        ["what", "Argo", "Rollouts", "Slipway", "unit", "ratio", "of", "each", "round", "target"]
    )
    assert first.split() == (
        [
            "create",
            "->",
            "workload",
            "object,",
            "p50",
            "9",
            "12.5",
            "ms",
            "1.40",
            "1.30",
            "-",
            "1.50",
            "<=",
            "1.25",
            "x",
            "MISSED",
        ]
    )


def test_without_go_nothing_is_measured_and_the_message_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["bench-peers", "--quick"])

    assert bench.main() == 2

    said = capsys.readouterr().err
    assert said.startswith("no Argo Rollouts to compare with")
    assert "install it from https://go.dev" in said
