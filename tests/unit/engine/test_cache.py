"""The cache: it shows what changed and which owner an object has; late events do not fool it."""

from dataclasses import dataclass, replace

import pytest
from slipway.api.kinds import DEPLOYMENT, POD, SERVICE
from slipway.engine.cache import Cache, Ref


@dataclass(frozen=True)
class Value:
    ready: int


REF = Ref(DEPLOYMENT, "vision", "digits-1", uid="u1", version=5, owner="md1")


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.store(REF, Value(0))
    return cache


def test_a_new_object_is_a_change() -> None:
    assert Cache().store(REF, Value(0))


def test_the_same_projection_is_no_change_but_its_version_is_kept(cache: Cache) -> None:
    assert not cache.store(replace(REF, version=6), Value(0))
    entry = cache.entry(DEPLOYMENT, "vision", "digits-1")
    assert entry is not None
    assert entry.ref.version == 6


def test_an_older_version_of_the_same_object_is_ignored(cache: Cache) -> None:
    assert not cache.store(replace(REF, version=4), Value(9))
    assert cache.get(DEPLOYMENT, "vision", "digits-1", Value) == Value(0)


def test_a_recreated_object_is_a_change_even_if_it_looks_the_same(cache: Cache) -> None:
    assert cache.store(replace(REF, uid="u2", version=7), Value(0))


def test_the_late_deletion_of_a_recreated_object_does_not_remove_the_new_one(cache: Cache) -> None:
    cache.store(replace(REF, uid="u2", version=7), Value(1))
    assert cache.remove(REF) is None
    assert cache.get(DEPLOYMENT, "vision", "digits-1", Value) == Value(1)


def test_an_owner_sees_what_it_controls_and_nothing_else(cache: Cache) -> None:
    cache.store(Ref(DEPLOYMENT, "vision", "digits-2", uid="u2", owner="md1"), Value(2))
    cache.store(Ref(DEPLOYMENT, "vision", "faces-1", uid="u3", owner="md2"), Value(3))
    cache.store(Ref(SERVICE, "vision", "digits-1", uid="u4", owner="md1"), "another type")

    assert cache.owned_by("md1", Value) == [Value(0), Value(2)]
    assert cache.owned_by("nobody", Value) == []


def test_an_object_that_changes_its_owner_leaves_the_old_one(cache: Cache) -> None:
    cache.store(replace(REF, version=6, owner="md2"), Value(0))
    assert cache.owned_by("md1", Value) == []
    assert cache.owned_by("md2", Value) == [Value(0)]


def test_a_removed_object_is_gone_from_every_index(cache: Cache) -> None:
    assert cache.remove(REF) is not None
    assert cache.get(DEPLOYMENT, "vision", "digits-1", Value) is None
    assert cache.owned_by("md1", Value) == []
    assert cache.in_namespace(DEPLOYMENT, "vision", Value) == []
    assert len(cache) == 0


def test_a_namespace_shows_its_own_objects_of_one_kind_by_name(cache: Cache) -> None:
    cache.store(Ref(DEPLOYMENT, "vision", "a", uid="u2"), Value(1))
    cache.store(Ref(DEPLOYMENT, "speech", "b", uid="u3"), Value(2))
    cache.store(Ref(POD, "vision", "c", uid="u4"), Value(3))
    assert cache.in_namespace(DEPLOYMENT, "vision", Value) == [Value(1), Value(0)]
