"""Replicas for a share, and when a revision's replicas may go."""

from dataclasses import replace

import pytest
from slipway.policy.facts import Facts, TrafficReading
from slipway.policy.rollout.capacity import desired_replicas, is_drained, replicas_for_share
from slipway.policy.rollout.roles import Roles

from tests.builders import (
    NOON,
    a_model_deployment,
    a_revision,
    a_route,
    a_workload,
    facts_about,
    later,
)

OLD = a_revision(a_model_deployment("1"))
NEW = a_revision(a_model_deployment("2"))


def facts(weight: int = 0, *, acknowledged: int = 1) -> Facts:
    """Return facts in which the old revision leaves."""
    return facts_about(
        a_model_deployment("2"),
        revisions={OLD.name: OLD, NEW.name: NEW},
        workloads={OLD.name: a_workload(OLD.name), NEW.name: a_workload(NEW.name)},
        route=a_route({NEW.name: 100 - weight, OLD.name: weight}, acknowledged=acknowledged),
    )


def test_a_share_needs_its_part_of_the_replicas_rounded_up() -> None:
    found = [replicas_for_share(weight, 10) for weight in (0, 1, 5, 10, 11, 50, 99, 100)]
    assert found == [0, 1, 1, 1, 2, 5, 10, 10]
    assert replicas_for_share(1, 1) == 1


def test_no_request_in_flight_at_any_proxy_is_drained() -> None:
    assert is_drained(replace(facts(), traffic=TrafficReading({})), OLD.name, NOON)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(replace(facts(5), traffic=TrafficReading({})), id="a weight"),
        pytest.param(
            replace(facts(acknowledged=0), traffic=TrafficReading({})), id="no acknowledgement"
        ),
        pytest.param(
            replace(facts(), traffic=TrafficReading({OLD.name: 1})), id="a request in flight"
        ),
        pytest.param(
            replace(facts(), traffic=TrafficReading({}, frozenset({"router-a"}))),
            id="a silent proxy",
        ),
        pytest.param(facts(), id="counters that were not read"),
        pytest.param(
            replace(facts(), traffic=TrafficReading({}), proxies=()), id="no proxy at all"
        ),
    ],
)
def test_a_revision_is_not_drained_while_there_is(found: Facts) -> None:
    assert not is_drained(found, OLD.name, NOON)
    assert desired_replicas(found, Roles(NEW.name, None), NOON) == {OLD.name: 1, NEW.name: 1}


def test_after_the_drain_time_what_still_runs_is_cut() -> None:
    traffic = TrafficReading({OLD.name: 9})
    busy = replace(facts(), traffic=traffic, acknowledged_at=NOON)
    assert not is_drained(busy, OLD.name, later(29))
    assert is_drained(busy, OLD.name, later(30))
    assert desired_replicas(busy, Roles(NEW.name, None), later(30)) == {OLD.name: 0, NEW.name: 1}


def test_the_drain_time_begins_when_this_operator_sees_the_acknowledgement() -> None:
    busy = replace(facts(), traffic=TrafficReading({OLD.name: 9}))
    assert not is_drained(busy, OLD.name, later(999))


def test_what_is_not_behind_the_route_is_drained() -> None:
    assert is_drained(replace(facts(), route=a_route({NEW.name: 100})), OLD.name, NOON)
    assert is_drained(replace(facts(), route=None), OLD.name, NOON)


def test_a_weight_that_one_proxy_still_runs_counts() -> None:
    found = facts()
    assert found.route is not None
    slow = replace(found.route.proxies[0], weights={OLD.name: 5}, generation=0)
    route = replace(found.route, proxies=(slow, found.route.proxies[1]))
    assert not is_drained(
        replace(found, route=route, traffic=TrafficReading({})), OLD.name, later(999)
    )
