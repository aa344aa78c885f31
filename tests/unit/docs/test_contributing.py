"""The guide's examples speak of code that exists."""

import ast
import builtins
import importlib
import re
from collections.abc import Iterator

import pytest
from slipway.api.reasons import MESSAGE_LENGTH

from tests.install.helm import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
DOTTED = re.findall(r"`(slipway(?:\.\w+)+)`", GUIDE)
BAD = "# bad"
"""What follows it is how not to write."""


def names_defined_in(folder: str) -> Iterator[str]:
    """Yield every name that the code gives to a thing, its parameters and locals included."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    yield node.name
                case ast.Name(ctx=ast.Store()):
                    yield node.id
                case ast.arg():
                    yield node.arg
                case ast.alias():
                    yield node.asname or node.name.split(".")[0]
                case _:
                    pass


def names_used_in(block: str) -> Iterator[str]:
    good = block.split(BAD, maxsplit=1)[0]
    for node in ast.walk(ast.parse(f"def example():\n{indented(good)}")):
        match node:
            case ast.Name():
                yield node.id
            case ast.Attribute():
                yield node.attr
            case ast.FunctionDef(name=name) if name != "example":
                yield name
            case _:
                pass


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


@pytest.fixture(scope="module")
def known() -> set[str]:
    return {*names_defined_in("operator"), *names_defined_in("tests"), *dir(builtins)}


@pytest.mark.parametrize("block", BLOCKS)
def test_names_in_examples_exist(block: str, known: set[str]) -> None:
    foreign = {"mark", "parametrize", "param"}

    assert set(names_used_in(block)) - foreign <= known


@pytest.mark.parametrize("path", DOTTED)
def test_types_that_are_named_can_be_imported(path: str) -> None:
    module, name = path.rsplit(".", 1)

    assert hasattr(importlib.import_module(module), name)


def test_functions_and_test_files_that_are_named_exist(known: set[str]) -> None:
    section = GUIDE.split("## Names")[1].split("## Paragraphs")[0]
    functions = set(re.findall(r"`(?:\w+\.)?([a-z]+_[a-z]+(?:_[a-z]+)*)`", section))
    files = set(re.findall(r"`(test_\w+\.py)`", GUIDE))

    assert functions <= known
    assert files <= {path.name for path in (ROOT / "tests/unit").rglob("test_*.py")}


def test_the_guide_says_where_messages_are_truncated() -> None:
    assert (
        f"`Why(reason, message)` carries both, and truncates the message ({MESSAGE_LENGTH:,}"
        in GUIDE
    )
