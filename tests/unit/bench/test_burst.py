"""When many objects have their children: what the API server's record says of it."""

from datetime import UTC, datetime, timedelta

from tests.bench.burst import _find_completion, _find_lacking
from tests.bench.writes import Write

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CHILDREN = {"deployments": 1}


def a_write(name: str, second: int, code: int = 201, resource: str = "deployments") -> Write:
    ended = BEGAN + timedelta(seconds=second)
    return Write("patch", resource, "vision", name, code, BEGAN, ended)


def test_what_is_not_made_yet_is_named_with_its_number() -> None:
    writes = [a_write("one", 1), a_write("one", 2), a_write("two", 3, code=409)]

    assert _find_lacking(writes, 2, CHILDREN) == "1 of 2 deployments"


def test_what_nobody_heard_of_was_made() -> None:
    assert not _find_lacking([a_write("one", 1), a_write("two", 2, code=504)], 2, CHILDREN)


def test_creates_that_nobody_heard_of_have_no_names_and_count_all_the_same() -> None:
    assert not _find_lacking([a_write("", 1, code=504), a_write("", 2, code=504)], 2, CHILDREN)


def test_what_was_made_again_was_not_made_before() -> None:
    writes = [a_write("one", 1, code=504), a_write("one", 5), a_write("one", 9)]

    ended, until = _find_completion(writes, CHILDREN)

    assert ended == BEGAN + timedelta(seconds=5)
    assert until == 3


def test_nothing_else_is_waited_for() -> None:
    writes = [a_write("one", 1), a_write("one", 9, resource="services")]

    assert _find_completion(writes, CHILDREN)[0] == BEGAN + timedelta(seconds=1)
