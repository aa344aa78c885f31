"""The action annotation: what is read of it."""

import pytest
from slipway.policy.action_grammar import UNREADABLE, Action, parse_action

UNREAD = Action(1, UNREADABLE)


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
        ("promote#12345678901234", None),
        ("promote#\u0661", None),
        ("Promote#1", UNREAD),
        ("promote #1", UNREAD),
        ("promote@0123abcd#1", UNREAD),
        ("promote@0123ABCD/1#1", UNREAD),
        ("promote=xyz#1", UNREAD),
        ("a" * 100_000 + "#1", UNREAD),
        ("promote#2#1", UNREAD),
        ("promote\n#1", UNREAD),
    ],
)
def test_the_annotation_is_read(text: str | None, action: Action | None) -> None:
    assert parse_action(text) == action
