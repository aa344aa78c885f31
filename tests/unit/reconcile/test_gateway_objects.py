"""What foreign controllers write into routes and Gateways, also where it is not as it should be."""

from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.policy.gateway import ParentAnswer
from slipway.reconcile.gateway_objects import find_unprogrammed, read_route

PARENT = {"name": "company", "namespace": "gateways", "sectionName": "https"}


def condition(kind: str, *, holds: bool = True, generation: int = 2, **more: Any) -> Manifest:
    status = "True" if holds else "False"
    return {"type": kind, "status": status, "observedGeneration": generation, **more}


GOOD = (condition("Accepted"), condition("ResolvedRefs"))


def answers_of(*conditions: Manifest, parent: Manifest | None = None) -> list[ParentAnswer]:
    entry = {"parentRef": PARENT if parent is None else parent, "conditions": [*conditions]}
    return answers_in({"parents": [entry]})


def answers_in(status: Any) -> list[ParentAnswer]:
    metadata = {"name": "digits", "namespace": "vision", "generation": 2}
    route = {"kind": "HTTPRoute", "metadata": metadata, "spec": {"rules": []}}
    return list(read_route({**route, "status": status}).answers)


def test_a_route_is_taken_where_both_conditions_hold_at_its_generation() -> None:
    [answer] = answers_of(*GOOD)
    assert answer == ParentAnswer("gateways/company/https", is_current=True, refusal=None)


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param([], id="nothing is said"),
        pytest.param([condition("Accepted")], id="one is missing"),
        pytest.param([condition("Accepted", generation=1), GOOD[1]], id="of an older generation"),
        pytest.param([{**GOOD[0], "status": "Unknown"}, GOOD[1]], id="nobody knows"),
        pytest.param([{"type": "Accepted"}, GOOD[1]], id="half of a condition"),
    ],
)
def test_what_is_not_said_yet_is_waited_for(conditions: list[Manifest]) -> None:
    [answer] = answers_of(*conditions)
    assert (answer.is_current, answer.refusal) == (False, None)


def test_a_refusal_at_our_generation_counts_at_once_and_an_older_one_not() -> None:
    refused = condition("Accepted", holds=False, reason="NoMatchingParent", message="no https")
    [answer] = answers_of(refused)
    assert (answer.is_current, answer.refusal) == (True, ("NoMatchingParent", "no https"))
    [answer] = answers_of({**refused, "observedGeneration": 1})
    assert (answer.is_current, answer.refusal) == (False, None)


def test_a_route_of_which_a_part_was_dropped_is_not_taken() -> None:
    partial = condition("PartiallyInvalid", reason="UnsupportedValue", message="dropped rule 2")
    [answer] = answers_of(*GOOD, partial)
    assert answer.refusal == ("UnsupportedValue", "dropped rule 2")


def test_a_parent_without_a_namespace_is_in_the_routes_own() -> None:
    [answer] = answers_of(*GOOD, parent={"name": "edge"})
    assert answer.parent == "vision/edge"


@pytest.mark.parametrize("status", [None, {}, {"parents": None}])
def test_a_status_that_nobody_has_written_has_no_answers(status: Any) -> None:
    assert answers_in(status) == []


def test_a_gateway_says_why_it_does_not_run() -> None:
    def gateway(*conditions: Manifest) -> Manifest:
        return kinds.GATEWAY.manifest("gateways", "company", status={"conditions": [*conditions]})

    assert find_unprogrammed(gateway(condition("Programmed"))) is None
    assert find_unprogrammed(gateway()) == (
        "Gateway gateways/company: no controller has programmed it yet"
    )
    pending = condition("Programmed", holds=False, reason="AddressNotAssigned", message="")
    assert find_unprogrammed(gateway(pending)) == "Gateway gateways/company: AddressNotAssigned"
