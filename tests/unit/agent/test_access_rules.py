"""From what a ModelRoute says of its callers to what Envoy is told."""

import pytest
from slipway.agent.access_rules import find_rules
from slipway.api.base import Manifest
from slipway.api.modelroute import ModelRouteSpec
from slipway.render.access import AccessRules, Limit, Tokens

HASHES = (("ci", "{SHA}x"), ("web", "{SHA}y"))
KEYS: Manifest = {"apiKeys": {"secretRef": {"name": "digits-keys"}}}


def rules(access: Manifest | None, **more: Manifest) -> AccessRules | None:
    spec: Manifest = {"port": 10_000, "model": "digits", "backends": [], "access": access, **more}
    return find_rules(ModelRouteSpec.model_validate(spec), HASHES)


def test_a_route_without_access_is_told_nothing() -> None:
    assert rules(None) is None


def test_keys_are_told_where_keys_are_asked_for() -> None:
    found = rules(KEYS)
    assert found is not None
    assert found.keys == HASHES
    nothing = rules({"log": "Requests"})
    assert nothing == AccessRules(has_log=True)


def test_a_limit_lets_through_at_once_what_it_lets_through_in_a_second() -> None:
    found = rules({**KEYS, "rateLimit": {"requestsPerSecond": 5}})
    assert found is not None
    assert found.limit == Limit(5, 5)


def test_service_accounts_are_subjects_of_the_clusters_tokens() -> None:
    allowed = [{"namespace": "vision", "name": "web"}, {"namespace": "batch"}]
    found = rules({"serviceAccounts": {"audiences": ["a"], "allowed": allowed}})
    assert found is not None
    subjects = ("system:serviceaccount:vision:web", "system:serviceaccount:batch:*")
    assert found.tokens == (Tokens(name="serviceaccounts", audiences=("a",), subjects=subjects),)


@pytest.mark.parametrize(
    ("access", "certificates", "is_way"),
    [
        ({"log": "Requests"}, "Required", True),
        (KEYS, "Required", False),
        (KEYS, "Optional", True),
    ],
)
def test_a_certificate_says_who_calls_unless_a_key_is_needed_as_well(
    access: Manifest, certificates: str, *, is_way: bool
) -> None:
    clients = {"secret": "clients-ca", "certificates": certificates}
    found = rules(access, tls={"secret": "digits-tls", "clients": clients})
    assert found is not None
    assert found.certificates is is_way
