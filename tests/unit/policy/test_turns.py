"""Whose turn it is, where the operator's settings limit how many rollouts run at once."""

from datetime import timedelta

from slipway.policy.turns import Place, describe_wait, find_place
from slipway.settings import LabelLimit, RolloutLimits

from tests.builders import NOON, a_model_deployment

ONE_HERE = {"in namespace vision": 1}
TWO_HERE = {"in namespace vision": 2}


def running(name: str, limits: dict[str, int]) -> Place:
    return Place(name, limits, runs=True)


def waiting(name: str, limits: dict[str, int], minutes: int | None = None) -> Place:
    since = NOON + timedelta(minutes=minutes) if minutes is not None else None
    return Place(name, limits, waits_since=since)


def test_a_rollout_waits_while_as_many_run_as_may() -> None:
    others = [running("vision/a", TWO_HERE), running("vision/b", TWO_HERE)]
    wait = describe_wait(waiting("vision/c", TWO_HERE), others)
    assert wait == (
        "waiting for its turn: 2 of 2 rollouts are under way in namespace vision, 0 came first"
    )
    assert describe_wait(waiting("vision/c", TWO_HERE), others[:1]) is None


def test_who_came_first_goes_first() -> None:
    early, late = waiting("vision/z", ONE_HERE, 1), waiting("vision/a", ONE_HERE, 2)
    new = waiting("vision/b", ONE_HERE)
    assert describe_wait(early, [late, new]) is None
    assert describe_wait(late, [early, new]) is not None
    assert describe_wait(new, [early, late]) is not None


def test_who_came_at_the_same_moment_goes_by_name_and_no_two_at_once() -> None:
    places = [waiting(f"vision/{name}", ONE_HERE, 1) for name in "cab"]
    free = [
        place.name
        for place in places
        if describe_wait(place, [it for it in places if it is not place]) is None
    ]
    assert free == ["vision/a"]


def test_nobody_is_overtaken_for_ever_by_those_with_fewer_limits() -> None:
    both = waiting("vision/a", {**ONE_HERE, "with pool=a": 1}, 1)
    others = [running("audio/b", {"with pool=a": 1}), waiting("vision/c", ONE_HERE, 2)]
    assert describe_wait(both, others) is not None
    assert describe_wait(others[1], [both, others[0]]) is not None


def test_other_namespaces_and_values_do_not_count() -> None:
    limits = RolloutLimits(
        most_per_namespace=1, most_per_label=[LabelLimit(label="example.com/pool", most=3)]
    )
    md = a_model_deployment()
    assert dict(find_place(md, limits).limits) == ONE_HERE
    labels = {"example.com/pool": "a100", "app": "x"}
    labelled = md.model_copy(update={"metadata": md.metadata.model_copy(update={"labels": labels})})
    assert dict(find_place(labelled, limits).limits) == {
        **ONE_HERE,
        "with example.com/pool=a100": 3,
    }
    assert not find_place(labelled, RolloutLimits()).limits
    assert (
        describe_wait(find_place(md, limits), [running("audio/b", {"in namespace audio": 1})])
        is None
    )
