"""What users are told, and how long it took, by servers that are none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from slipway.comparer.copied import Part

from tests.contract.faults.serving import Answered, Served
from tests.contract.faults.tape import TIMES_AGAIN, Crowd, Tape
from tests.contract.faults.version import Family, Question, Version


@dataclass
class FakeServed(Served):
    """Answers after these times, in microseconds."""

    times: Iterator[int]
    asked: list[Question] = field(default_factory=list)

    def ask(self, question: Question) -> Answered:
        self.asked.append(question)
        return Answered(Part(headers={":status": "200"}, is_whole=True), next(self.times))


def a_crowd() -> Crowd:
    stable = Version("stable", "answers", lambda _: None)

    def ask(rng: np.random.Generator) -> Question:
        return Question({"x": rng.random((1, 1))}, None)

    return Crowd(Family("none", stable, (), (), ask, lambda *_: True, (), {}))


def a_tape(stable: Iterable[int], candidate: Iterable[int]) -> tuple[Tape, FakeServed, FakeServed]:
    servers = FakeServed(iter(stable)), FakeServed(iter(candidate))
    return Tape(a_crowd(), *servers), *servers


def test_an_answer_is_asked_for_once() -> None:
    tape, stable, candidate = a_tape(repeat(1000), repeat(1000))
    for number in (1, 2, 1, 2):
        tape.pair(number)

    first_rounds = len(stable.asked), len(candidate.asked)
    tape.pair(2)
    assert (len(stable.asked), len(candidate.asked)) == first_rounds


def test_both_are_asked_the_same() -> None:
    tape, stable, candidate = a_tape(repeat(1000), repeat(1000))
    tape.pair(3)

    assert stable.asked[0] is candidate.asked[0]


def test_a_time_that_was_long_once_is_taken_again() -> None:
    tape, *_ = a_tape(repeat(1000), [1000, 1000, 90_000, *repeat(1100, 20)])
    for number in range(2):
        tape.pair(number)

    assert [found.micros for found in tape.pair(2)] == [1000, 1100]


def test_a_version_that_is_slow_is_slow_every_time() -> None:
    tape, *_ = a_tape(repeat(1000), repeat(4000))

    assert [found.micros for found in tape.pair(0)] == [1000, 4000]


def test_a_pair_whose_times_differ_is_timed_again_on_both_sides() -> None:
    tape, stable, candidate = a_tape(repeat(1000), repeat(4000))
    tape.pair(0)
    asked = len(stable.asked), len(candidate.asked)
    tape.pair(1)

    again = len(stable.asked) - asked[0], len(candidate.asked) - asked[1]
    assert again == (1 + TIMES_AGAIN, 1 + TIMES_AGAIN)
