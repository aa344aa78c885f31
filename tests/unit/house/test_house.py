"""The figures of the house stay where they are wanted, and are counted right."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.house.code import Module, Place, read_module, read_modules
from tests.house.figures import Figure, figures
from tests.house.paragraphs import long_bodies, without_paragraphs
from tests.house.rooms import plan_of
from tests.house.words import (
    MIRRORS,
    is_one_word,
    mirror_of,
    named_functions,
    one_word_functions,
    shared_class_names,
)

# Measured when the first of them is asked for: every process that lists the tests imports this.
KEYS = (
    "paragraphs",
    "test-paragraphs",
    "words",
    "classes",
    "mirrors",
    "modules",
    "slipway-floors",
    "slipway-circles",
    "policy-floors",
    "policy-circles",
    "rollout-floors",
    "rollout-circles",
    "analysis-floors",
    "analysis-circles",
    "length",
    "test-length",
)


@pytest.fixture(scope="module")
def measured() -> Mapping[str, Figure]:
    return MappingProxyType({figure.key: figure for figure in figures()})


@pytest.mark.parametrize("key", KEYS)
def test_a_figure_meets_its_target(measured: Mapping[str, Figure], key: str) -> None:
    figure = measured[key]

    assert figure.is_met, "\n".join(map(str, figure.places))


def test_every_figure_is_asked(measured: Mapping[str, Figure]) -> None:
    assert tuple(measured) == KEYS


def test_no_mirror_is_declared_that_is_none() -> None:
    shared = shared_class_names(read_modules("operator/slipway", "operator"))

    assert {name for mirror in MIRRORS for name in mirror.names} <= set(shared)


def test_a_third_module_ends_a_mirror() -> None:
    here, there = (
        Place("operator/slipway/cli/objects.py", 1, ""),
        Place("operator/slipway/api/x.py", 1, ""),
    )
    elsewhere = Place("operator/slipway/policy/x.py", 1, "")

    assert mirror_of("Step", [here, there])
    assert mirror_of("Step", [there, here])
    assert not mirror_of("Step", [here, elsewhere])
    assert not mirror_of("Step", [here, there, elsewhere])
    assert not mirror_of("Stage", [here, there])


def module_of(folder: Path, text: str, name: str = "a") -> Module:
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return read_module(path, folder)


def test_a_docstring_is_no_part_of_a_body_and_its_blank_lines_are_no_paragraphs(
    tmp_path: Path,
) -> None:
    body = "    x = 1\n" * 15
    docstring = '    """One.\n\n    Two.\n    """\n'
    module = module_of(tmp_path, f"def f():\n{docstring}{body}")

    bodies = long_bodies([module])

    assert [len(function.body) for function in bodies] == [15]
    assert [place.line for place in without_paragraphs(bodies)] == [1]


def test_one_blank_line_makes_paragraphs_and_a_body_of_fourteen_lines_needs_none(
    tmp_path: Path,
) -> None:
    long = "def f():\n" + "    x = 1\n" * 8 + "\n" + "    x = 1\n" * 8
    short = "def g():\n" + "    x = 1\n" * 14
    module = module_of(tmp_path, long + short)

    bodies = long_bodies([module])

    assert [function.name for function in bodies] == ["f"]
    assert without_paragraphs(bodies) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("act", True), ("_act", True), ("id_", True), ("act_on", False)]
)
def test_underscores_around_a_word_do_not_make_it_two(name: str, *, expected: bool) -> None:
    assert is_one_word(name) is expected


def test_the_name_of_a_click_command_is_its_users_word(tmp_path: Path) -> None:
    module = module_of(
        tmp_path,
        "@command('get')\ndef get(): ...\n\n@click.group()\ndef md(): ...\n\ndef at(): ...\n"
        "class A:\n    def method(self): ...\n",
    )

    found = one_word_functions(named_functions([module]))

    assert [place.note for place in found] == ["at: one word"]


def test_rooms_are_counted_with_all_that_is_inside_them(tmp_path: Path) -> None:
    modules = [
        module_of(tmp_path, "", "p/__init__"),
        module_of(tmp_path, "", "p/ground"),
        module_of(tmp_path, "from p import ground\nfrom p.stairs.up import step\n", "p/stairs/up"),
        module_of(tmp_path, "import p.stairs.up\n", "p/attic"),
    ]

    plan = plan_of("p", modules)

    assert plan.floors == [["ground"], ["stairs"], ["attic"]]
    assert plan.arrow_count == 2
    assert plan.circles == []


def test_rooms_in_a_circle_are_found_and_share_a_floor(tmp_path: Path) -> None:
    modules = [
        module_of(tmp_path, "import p.b\n", "p/a"),
        module_of(tmp_path, "def late():\n    from p.c import x\n", "p/b"),
        module_of(tmp_path, "import p.a\nimport p.d\n", "p/c"),
        module_of(tmp_path, "", "p/d"),
    ]

    plan = plan_of("p", modules)

    assert plan.circles == [frozenset("abc")]
    assert plan.floors == [["d"], ["a", "b", "c"]]
