"""The action annotation: what is read, and what is refused with a reason."""

from typing import Any

import pytest
from slipway.policy.actions import VERBS, Action, parse, refusal


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("promote#1", Action(1, "promote")),
        ("approve@0123abcd/2#1763725000123", Action(1763725000123, "approve", None, "0123abcd", 2)),
        ("rollback=0123abcd#7", Action(7, "rollback", "0123abcd")),
        ("pause@0123abcd/0#9", Action(9, "pause", None, "0123abcd", 0)),
        (None, None),
        ("", None),
        ("promote", None),
        ("promote#", None),
        ("promote#x", None),
        ("Promote#1", None),
        ("promote #1", None),
        ("promote@0123abcd#1", None),
        ("promote@0123ABCD/1#1", None),
        ("promote=xyz#1", None),
        ("promote#12345678901234567", None),
        ("promote#1#2", None),
    ],
)
def test_the_annotation_is_read(text: str | None, action: Action | None) -> None:
    assert parse(text) == action


def refused(verb: str, **changes: Any) -> str | None:
    known = {"candidate": "0123abcd", "step": 1, "stage_awaits": True, "can_retry": True, **changes}
    position = known.pop("position", (None, None))
    return refusal(Action(1, verb, None, *position), **known)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_what_makes_sense_now_is_done(verb: str) -> None:
    assert refused(verb) is None
    assert refused(verb, position=("0123abcd", 1)) is None


@pytest.mark.parametrize(
    ("verb", "state", "words"),
    [
        ("promote", {"candidate": None}, "no rollout is under way"),
        ("abort", {"candidate": None}, "no rollout is under way"),
        ("approve", {"stage_awaits": False}, "no step waits"),
        ("retry", {"can_retry": False}, "nothing was rejected"),
        ("promote", {"position": ("0123abcd", 2)}, "now is 0123abcd/1"),
        ("promote", {"position": ("ffffffff", 1)}, "meant for ffffffff/1"),
        ("explode", {}, "known are abort, approve"),
    ],
)
def test_what_makes_no_sense_now_is_refused_with_a_reason(
    verb: str, state: dict[str, Any], words: str
) -> None:
    assert words in str(refused(verb, **state))
