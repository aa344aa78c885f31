"""The JSON shape is what docs/cli.md says; scripts rely on it."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import get_type_hints

from slipway.cli import action as asking
from slipway.cli import forecast as forecasting
from slipway.cli import objects
from slipway.cli.wire import dump, json_key

from tests.install.helm import ROOT
from tests.unit.cli.recordings import ALL, recording

PAGE = (ROOT / "docs/cli.md").read_text()


def keys(kind: type) -> set[str]:
    """Return the keys of a type and of all that it holds."""
    found = {json_key(item) for item in fields(kind)}
    return found.union(*(keys(part) for hint in get_type_hints(kind).values() for part in of(hint)))


def of(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in getattr(hint, "__args__", ()):
        yield from of(part)


def test_the_page_names_every_key_of_the_object_and_no_other() -> None:
    block = PAGE.split("The object is\n\n```text\n")[1].split("```")[0]
    assert set(re.findall(r"\w+", block)) - {"http", "grpc"} == keys(objects.ModelDeployment)


def test_the_page_names_every_key_of_an_answer_and_a_plan() -> None:
    text = PAGE.split("An action prints ")[1].split("With `--json` errors")[0]
    named = set(re.findall(r"\w+", text))

    assert named >= keys(asking.ActionResult)
    assert named >= keys(forecasting.Forecast) | {"seconds", "isTooLate", "requests"}


def test_every_key_is_there_in_every_stage() -> None:
    shapes = {tuple(dump(recording(name).md)) for name in ALL}
    assert len(shapes) == 1
