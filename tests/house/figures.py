"""The figures of the house, each with its target and with what stands behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.house.code import Module, Place, read_modules
from tests.house.paragraphs import lengths, long_bodies, longest, summary_of, without_paragraphs
from tests.house.rooms import Plan, plan_of
from tests.house.words import (
    mirror_of,
    named_functions,
    one_word_functions,
    shared_class_names,
    shared_module_names,
)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    key: str
    what: str
    value: float
    text: str
    """The value as it is printed."""
    places: Sequence[Place]
    """What stands behind it: what to change where the target is missed."""
    target: float | None = None
    """The most that is wanted; None: only shown."""

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.target is None or self.value <= self.target


def figures() -> list[Figure]:
    """All figures of the repository, in the order of the table."""
    code = read_modules("operator/slipway", "operator")
    tests = read_modules("tests")

    return [
        _paragraphs("paragraphs", "long bodies without a blank line", code, 20),
        _paragraphs("test-paragraphs", "the same in tests", tests, 20),
        _one_word(code),
        *_class_names(code),
        _module_names(code),
        *_floor_plan("slipway", plan_of("slipway", code), None),
        *_floor_plan("policy", plan_of("slipway.policy", code), 7),
        *_floor_plan("rollout", plan_of("slipway.policy.rollout", code), None),
        *_floor_plan("analysis", plan_of("slipway.policy.analysis", code), None),
        _length("length", "function lines: median / p90 / max", code),
        _length("test-length", "the same in tests", tests),
    ]


def _paragraphs(key: str, what: str, modules: Sequence[Module], target: float) -> Figure:
    bodies = long_bodies(modules)
    return _share(key, what, without_paragraphs(bodies), len(bodies), target)


def _one_word(modules: Sequence[Module]) -> Figure:
    functions = named_functions(modules)
    found = one_word_functions(functions)
    return _share("words", "module functions of one word", found, len(functions), 35)


def _class_names(modules: Sequence[Module]) -> list[Figure]:
    shared = shared_class_names(modules)
    mirrors = {name: places for name, places in shared.items() if mirror_of(name, places)}
    others = {name: places for name, places in shared.items() if name not in mirrors}
    return [
        _count("classes", "class names in two modules", others, 12),
        _count("mirrors", "declared mirrors beside them", mirrors, None),
    ]


def _module_names(modules: Sequence[Module]) -> Figure:
    return _count("modules", "module names twice or more", shared_module_names(modules), None)


def _floor_plan(key: str, plan: Plan, floors: int | None) -> list[Figure]:
    by_floor = [
        Place(room, 0, f"floor {level}")
        for level, rooms in enumerate(plan.floors, start=1)
        for room in rooms
    ]

    in_circles = [
        plan.arrows[room][target]
        for circle in plan.circles
        for room in sorted(circle)
        for target in sorted(circle & set(plan.arrows[room]))
    ]
    count = len(plan.floors)
    text = f"{count} ({len(plan.rooms)} rooms, {plan.arrow_count} arrows)"
    return [
        Figure(f"{key}-floors", f"floors of {key}", count, text, by_floor, floors),
        _number(f"{key}-circles", f"circles in {key}", len(plan.circles), in_circles, 0),
    ]


def _length(key: str, what: str, modules: Sequence[Module]) -> Figure:
    lines = lengths(modules)
    at_least = lines[int(len(lines) * 0.99)]
    return Figure(key, what, lines[-1], summary_of(lines), longest(modules, at_least))


def _share(key: str, what: str, found: Sequence[Place], total: int, target: float) -> Figure:
    percent = 100 * len(found) / total if total else 0.0
    text = f"{percent:.0f}% ({len(found)} of {total})"
    return Figure(key, what, percent, text, found, target)


def _count(
    key: str, what: str, shared: Mapping[str, Sequence[Place]], target: float | None
) -> Figure:
    places = [place for found in shared.values() for place in found]
    return _number(key, what, len(shared), places, target)


def _number(
    key: str, what: str, number: int, places: Sequence[Place], target: float | None
) -> Figure:
    return Figure(key, what, number, str(number), places, target)
