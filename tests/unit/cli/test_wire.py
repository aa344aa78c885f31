"""The codec: what the API's JSON becomes, however odd, and what `--json` makes of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from slipway.cli.wire import dump, load, wire_field


@dataclass(frozen=True, slots=True)
class Wheel:
    size: int = 3
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cart:
    owner_name: str
    """No default: empty where it is missing."""
    spokes: int
    load_factor: float | None = None
    is_open: bool = False
    built_at: datetime | None = None
    spare: Wheel | None = None
    first: Wheel = Wheel(size=9)
    wheels: tuple[Wheel, ...] = ()
    weights: tuple[float, ...] = ()
    colour: str = field(default="red", metadata=wire_field("paint", "colour"))
    from_place: str = field(default="", metadata=wire_field(json_key="from"))
    is_locked: bool = field(
        default=True, metadata=wire_field("lock", parse=lambda raw: raw != "Off")
    )


EMPTY = Cart(owner_name="", spokes=0)


def test_a_key_is_the_name_in_camel_case() -> None:
    raw = {"ownerName": "Ada", "spokes": 8, "loadFactor": 0.5, "isOpen": True}

    assert load(Cart, raw) == Cart("Ada", 8, load_factor=0.5, is_open=True)


def test_a_type_is_that_of_the_annotation() -> None:
    raw = {
        "builtAt": "2026-11-21T12:00:00.000Z",
        "spare": {"size": 4, "tags": {"a": "b", "c": 1}},
        "wheels": [{"size": 1}, {"size": 2}],
        "weights": [1, 2.5],
    }

    cart = load(Cart, raw)

    assert cart.built_at == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert cart.spare == Wheel(4, {"a": "b"})
    assert cart.wheels == (Wheel(1), Wheel(2))
    assert cart.weights == (1.0, 2.5)


def test_a_field_may_be_elsewhere_and_mean_something_else() -> None:
    raw = {"paint": {"colour": "blue"}, "from": "Rome", "lock": "Off"}

    assert load(Cart, raw) == Cart("", 0, colour="blue", from_place="Rome", is_locked=False)


@pytest.mark.parametrize("raw", [None, 3, "text", [], {}, {"paint": []}, {"paint": None}])
def test_what_is_missing_has_its_default(raw: Any) -> None:
    assert load(Cart, raw) == EMPTY


@pytest.mark.parametrize(
    "raw",
    [
        {"ownerName": ["x"], "spokes": "8", "loadFactor": "0.5", "isOpen": 1},
        {"builtAt": "soon", "spare": [], "first": "x", "wheels": {}, "weights": "1"},
        {"builtAt": 20261121, "spare": {}, "first": {}, "wheels": [None, 3, {}], "weights": ["1"]},
        {"spokes": float("inf"), "loadFactor": float("nan"), "weights": [float("nan"), 10**400]},
        {"spokes": 10**400, "ownerName": None, "wheels": None, "from": {"a": "b"}},
    ],
)
def test_what_is_of_another_type_is_left_out(raw: dict[str, Any]) -> None:
    assert load(Cart, raw) == EMPTY


def test_a_string_loses_what_a_terminal_would_obey() -> None:
    raw = {"ownerName": "\x1b[2JAda\nx", "spare": {"tags": {"\x07": "\x9bm"}}}

    cart = load(Cart, raw)

    assert cart.owner_name == " [2JAda x"
    assert cart.spare == Wheel(tags={" ": " m"})


def test_json_has_every_key_under_its_own_name() -> None:
    cart = load(Cart, {"builtAt": "2026-11-21T12:00:00+01:00", "from": "Rome"})

    assert dump(cart) == {
        "ownerName": "",
        "spokes": 0,
        "loadFactor": None,
        "isOpen": False,
        "builtAt": "2026-11-21T11:00:00.000Z",
        "spare": None,
        "first": {"size": 9, "tags": {}},
        "wheels": [],
        "weights": [],
        "colour": "red",
        "from": "Rome",
        "isLocked": True,
    }
