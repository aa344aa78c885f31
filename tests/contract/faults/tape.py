"""Users' requests, asked of stable and of a candidate when somebody wants the answer."""

import statistics
from dataclasses import replace

import numpy as np
from slipway.comparer.pair import Outcome

from tests.contract.faults.serving import Answered, Served
from tests.contract.faults.version import Family, Question

SEED = 20261129
LONG = 1.5
"""Times the median so far: what takes longer is asked again."""
NEAR = 1.25
"""Times the other side's: a pair that differs by more is timed again."""
TIMES_AGAIN = 5


class Crowd:
    """The users of a family: they ask the same of every version."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._rng = np.random.default_rng(SEED)
        self._questions: list[Question] = []

    def question(self, number: int) -> Question:
        """Return a request by its number, from 0."""
        while number >= len(self._questions):
            self._questions.append(self.family.ask(self._rng))
        return self._questions[number]


class Tape:
    """What stable and one candidate answer; an answer is asked for once, and kept.

    Only its time is taken again where it was long, and the shortest one counts: what other work on
    the machine adds is no fault of a version, and what a version is slow at is slow every time.
    """

    def __init__(self, crowd: Crowd, stable: Served, candidate: Served) -> None:
        self._crowd = crowd
        self._servers = {False: stable, True: candidate}
        self._answers: dict[tuple[int, bool], Answered] = {}
        self._micros: dict[bool, list[int]] = {False: [], True: []}

    def answer(self, number: int, *, is_candidate: bool) -> Answered:
        """Return what one of them answers to a request."""
        key = number, is_candidate
        if key not in self._answers:
            self._answers[key] = self._servers[is_candidate].ask(self._crowd.question(number))
            self._hurry(number, is_candidate=is_candidate)
            self._micros[is_candidate].append(self._answers[key].micros)
        return self._answers[key]

    def _hurry(self, number: int, *, is_candidate: bool) -> None:
        known = self._micros[is_candidate]
        limit = LONG * statistics.median(known) if known else 0.0
        for _ in range(TIMES_AGAIN):
            if self._answers[number, is_candidate].micros <= limit:
                break
            self._time_again(number, is_candidate=is_candidate)

    def _time_again(self, number: int, *, is_candidate: bool) -> None:
        before = self._answers[number, is_candidate]
        again = self._servers[is_candidate].ask(self._crowd.question(number)).micros
        shortest = min(before.micros, again)
        self._answers[number, is_candidate] = replace(before, micros=shortest)

    def pair(self, number: int) -> tuple[Answered, Answered]:
        """Return stable's answer and the candidate's; they are asked first by turns.

        Where their times differ much, both are timed again, each as often as the other.
        """
        is_known = (number, False) in self._answers and (number, True) in self._answers
        order = (True, False) if number % 2 else (False, True)
        for is_candidate in order:
            self.answer(number, is_candidate=is_candidate)

        rounds = 0 if is_known else TIMES_AGAIN
        while rounds and self._differs(number):
            rounds -= 1
            for is_candidate in order:
                self._time_again(number, is_candidate=is_candidate)
        return self._answers[number, False], self._answers[number, True]

    def _differs(self, number: int) -> bool:
        times = [self._answers[number, is_candidate].micros for is_candidate in (False, True)]
        return max(times) > NEAR * min(times)

    def is_wronged(self, number: int) -> bool:
        """Tell whether the candidate's answer is wrong, or an error, and stable's is right."""
        return not self._is_right(number, is_candidate=True) and self._is_right(
            number, is_candidate=False
        )

    def _is_right(self, number: int, *, is_candidate: bool) -> bool:
        answered = self.answer(number, is_candidate=is_candidate)
        if answered.outcome is not Outcome.OK:
            return False
        truth = self._crowd.question(number).truth
        return self._crowd.family.is_right(truth, answered.read())
