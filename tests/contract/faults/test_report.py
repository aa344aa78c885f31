"""What is said of a zoo, by trials that never were."""

from dataclasses import replace

from tests.contract.faults.rehearsal import Caught, Ending
from tests.contract.faults.report import (
    find_missed_targets,
    summarise,
    tabulate_faults,
    tabulate_good,
)
from tests.contract.faults.trial import Measured, Rollout, Trial

ALIKE = Measured(wrong=0.0, failed=0.0, slow=0.0, times_as_long=1.0)


def a_rollout(caught: Caught, *, wronged: int = 0, pairs: int = 0) -> Rollout:
    ending = Ending(caught, "", "", pairs, 1200, tuple(range(wronged)))
    return Rollout(ending, wronged)


def a_fault(caught: Caught = Caught.SHADOW, *, wrong: float = 0.1) -> Trial:
    return Trial(
        family="digits",
        name="lost class",
        what="no 8",
        is_fault=True,
        rollout=a_rollout(caught, pairs=64),
        without_shadow=a_rollout(Caught.NOT, wronged=71),
        measured=replace(ALIKE, wrong=wrong),
    )


def a_good_version(caught: Caught = Caught.NOT) -> Trial:
    rollout = a_rollout(caught, pairs=380)
    return Trial("digits", "FP16 weights", "rounded", False, rollout, rollout, ALIKE)


def a_zoo(*, missed: int = 0, refused: int = 0) -> list[Trial]:
    return [
        *(a_fault() for _ in range(24 - missed)),
        *(a_fault(Caught.BAKE) for _ in range(missed)),
        *(a_good_version() for _ in range(24 - refused)),
        *(a_good_version(Caught.SHADOW) for _ in range(refused)),
    ]


def test_three_faults_may_reach_users_and_no_good_version_may_be_refused() -> None:
    assert find_missed_targets(a_zoo(missed=3)) == []
    assert find_missed_targets(a_zoo(missed=4, refused=1)) == [
        "20 faults were caught before any user, wanted 21",
        "1 good versions were refused, wanted 0",
    ]


def test_a_good_version_that_waits_for_a_person_is_not_refused() -> None:
    zoo = [*a_zoo(), a_good_version(Caught.HELD)]

    assert find_missed_targets(zoo) == []
    assert "held by the steps" in tabulate_good(zoo)


def test_what_was_missed_is_named() -> None:
    assert summarise(a_zoo(missed=1, refused=1)) == (
        "* 23 of 24 faults are caught before any user: 0 by the signature, 0 by the golden set, "
        "23 by the shadow\n"
        "* not caught before users: lost class (bake)\n"
        "* 1 of 24 good versions are refused: FP16 weights of digits (shadow)"
    )


def test_a_row_has_who_caught_a_fault_and_what_others_do_with_it() -> None:
    row = tabulate_faults([a_fault()]).splitlines()[-1]

    assert row == (
        "| digits | lost class: no 8 | 10.0% | shadow | 64 pairs | 0 | not caught, 71 users "
        "| 100%, 8 users | 100%, 60 users |"
    )


def test_others_hold_errors_against_a_version_and_one_of_them_slow_answers() -> None:
    def promoted_by(measured: Measured) -> list[str]:
        row = tabulate_good([replace(a_good_version(), measured=measured)]).splitlines()[-1]
        return [cell.strip() for cell in row.split("|")[-3:-1]]

    assert promoted_by(replace(ALIKE, failed=0.5)) == ["0%", "0%"]
    assert promoted_by(replace(ALIKE, slow=0.5)) == ["0%", promoted_by(ALIKE)[1]]
