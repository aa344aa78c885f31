"""The operator's rights, as manifests/base has them: the contract tests tie those to the chart."""

import importlib.util
import re
from typing import Any

import pytest
import yaml
from slipway.api.kinds import BY_NAME, GATEWAY_ROUTES, LEASE, ROLE, WATCHED
from slipway.manager.wiring import LEASE_NAME
from slipway.render.router import RouterSpec, render_router

from tests.install.base import BASE

TEXT = (BASE / "rbac.yaml").read_text()
ROLES: dict[tuple[str, str], dict[str, Any]] = {
    (manifest["kind"], manifest["metadata"]["name"]): manifest
    for manifest in yaml.safe_load_all(TEXT)
}
RULES = ROLES["ClusterRole", "slipway"]["rules"]
ALL_RULES = [rule for role in ROLES.values() for rule in role.get("rules", ())]
RULE_LINES = [line for line in TEXT.splitlines() if "apiGroups" in line]


def test_operator_cannot_touch_secrets() -> None:
    assert not [rule for rule in ALL_RULES if "secrets" in rule["resources"]]


def test_no_rule_has_a_wildcard() -> None:
    assert not [rule for rule in ALL_RULES for words in rule.values() if "*" in str(words)]


@pytest.mark.parametrize("verb", ["escalate", "bind", "impersonate", "deletecollection"])
def test_operator_cannot(verb: str) -> None:
    assert not [rule for rule in ALL_RULES if verb in rule["verbs"]]


def test_operator_never_writes_a_modeldeployment() -> None:
    assert verbs("slipway.dev", "modeldeployments") == {"get", "list", "watch"}


def test_operator_may_watch_what_it_watches() -> None:
    missing = [
        kind.plural
        for kind in WATCHED
        if not {"get", "list", "watch"} <= verbs(kind.group, kind.plural)
    ]
    assert missing == []


def test_every_kind_in_use_has_a_rule() -> None:
    without = [
        kind.plural
        for kind in BY_NAME.values()
        if kind != LEASE and not verbs(kind.group, kind.plural)
    ]
    assert without == []


def test_operator_only_reads_routes_of_gateways_until_it_is_asked_for_more() -> None:
    held = [verbs(kind.group, kind.plural) for kind in GATEWAY_ROUTES]
    assert held == [{"get", "list"}] * len(GATEWAY_ROUTES)


def test_operator_holds_what_it_grants_to_routers() -> None:
    """Otherwise the API server refuses the Role, for want of `escalate`."""
    spec = RouterSpec(agent_image="agent", envoy_image="envoy", replicas=2, concurrency=1)
    [role] = [one for one in render_router("vision", "uid", spec) if one["kind"] == ROLE.kind]
    granted = [
        (group, resource, set(rule["verbs"]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]

    assert granted
    for group, resource, wanted in granted:
        assert wanted <= verbs(group, resource), resource


def test_leases_are_a_right_in_the_own_namespace_only() -> None:
    assert not verbs("coordination.k8s.io", "leases")
    creates, holds = ROLES["Role", "slipway-lease"]["rules"]

    assert creates["verbs"] == ["create"]
    assert holds["resourceNames"] == [LEASE_NAME]


def test_every_rule_is_one_line_that_names_a_module_of_ours() -> None:
    assert len(RULE_LINES) == len(ALL_RULES)
    strangers = [line for line in RULE_LINES if not names_a_module(line)]

    assert strangers == []


def names_a_module(line: str) -> bool:
    found = re.search(r"}  # ([a-z_.]+)\b", line)
    return found is not None and importlib.util.find_spec(f"slipway.{found[1]}") is not None


def verbs(group: str, resource: str) -> set[str]:
    return {
        verb
        for rule in RULES
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }
