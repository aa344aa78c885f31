"""By which keys a route's callers are told apart, and what is said of it."""

import json

import pytest
from slipway.agent.access import Callers
from slipway.agent.desired import DesiredRoute, Needed
from slipway.agent.key_sets import CLUSTER, KeySetAddress, KeySetContent, parse_key_set
from slipway.agent.secrets import SecretContent
from slipway.api.access import Access
from slipway.api.base import Manifest
from slipway.api.modelroute import ModelRouteSpec

from tests.certificates import FakeKeySets, FakeSecrets
from tests.tokens import Issuer, hash_key

ISSUER = Issuer()
URL = "https://issuer.example.org/keys"
ADDRESS = KeySetAddress(URL)
KEYS: Manifest = {"apiKeys": {"secretRef": {"name": "digits-keys"}}}
LABEL = f"JWKS of {ISSUER.name}"


def tokens_from(jwks: Manifest) -> Manifest:
    return {"jwt": [{"issuer": ISSUER.name, "audiences": ["digits"], "jwks": jwks}]}


BY_URL = tokens_from({"url": URL})
BY_PRIVATE_URL = tokens_from({"url": URL, "caConfigMapRef": {"name": "company-ca"}})
BY_MAP = tokens_from({"configMapRef": {"name": "issuer"}})
GOOD = parse_key_set(json.dumps(ISSUER.key_set()).encode())


class Bench:
    """A router whose sources are what a test says."""

    def __init__(self) -> None:
        self.secrets, self.maps, self.sets = FakeSecrets(), FakeSecrets(), FakeKeySets()
        self.callers = Callers(self.secrets, self.maps, self.sets)

    def look(self, access: Manifest, route: str = "digits") -> Needed:
        asked = Access.model_validate(access)
        spec = ModelRouteSpec(port=10_000, model=route, backends=[], access=asked)
        return self.callers.look([DesiredRoute(route, route, 1, "", spec, None)])[route]

    def says(self, access: Manifest) -> tuple[str, str]:
        [status] = self.look(access).statuses
        return status.source, status.reason


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_only_what_routes_name_is_read(bench: Bench) -> None:
    bench.look(KEYS | BY_URL | {"serviceAccounts": {}})
    assert bench.secrets.followed == {"digits-keys"}
    assert bench.sets.followed == {ADDRESS, CLUSTER}
    assert bench.maps.followed == frozenset()
    assert bench.callers.look([]) == {}
    assert bench.secrets.followed == frozenset()
    assert bench.sets.followed == frozenset()


def test_a_route_waits_until_everything_was_answered_for(bench: Bench) -> None:
    assert not bench.look(KEYS).is_known
    bench.secrets.put("digits-keys", {"ci": hash_key("secret")})
    assert bench.look(KEYS).is_known
    assert not bench.look(KEYS | BY_URL).is_known
    assert not bench.look(BY_MAP).is_known


def test_keys_go_with_their_secret(bench: Bench) -> None:
    bench.secrets.put("digits-keys", {"ci": hash_key("secret")})
    assert bench.look(KEYS).keys == (("ci", hash_key("secret").decode()),)
    assert bench.says(KEYS) == ("Secret digits-keys", "CallersKnown")

    bench.secrets.put("digits-keys", None)
    assert bench.look(KEYS).keys == ()
    assert bench.says(KEYS)[1] == "SecretNotFound"


def test_keys_go_on_while_nobody_can_read_whether_they_still_hold(bench: Bench) -> None:
    known = {"ci": hash_key("secret")}
    bench.secrets.found["digits-keys"] = SecretContent(
        is_known=True, data=known, problem="403", is_forbidden=True
    )
    assert bench.look(KEYS).keys
    assert bench.says(KEYS)[1] == "SecretUnreadable"


def test_a_secret_without_any_key_is_said(bench: Bench) -> None:
    bench.secrets.put("digits-keys", {})
    assert bench.says(KEYS) == ("Secret digits-keys", "KeysBroken")


def test_a_key_set_is_handed_out_and_goes_on_while_its_source_is_down(bench: Bench) -> None:
    bench.sets.found[ADDRESS] = KeySetContent(is_known=True, text=GOOD)
    assert bench.says(BY_URL) == (LABEL, "CallersKnown")
    assert bench.callers.page("digits/jwt0") == GOOD

    bench.sets.found[ADDRESS] = KeySetContent(is_known=True, text=GOOD, problem="status 503")
    assert bench.says(BY_URL) == (LABEL, "KeySetUnreachable")
    assert bench.callers.page("digits/jwt0") == GOOD


def test_an_address_is_asked_only_once_the_certificates_to_trust_are_known(bench: Bench) -> None:
    assert not bench.look(BY_PRIVATE_URL).is_known
    assert bench.maps.followed == {"company-ca"}
    assert bench.sets.followed == frozenset()

    bench.maps.put("company-ca", {"ca.crt": b"PEM"})
    bench.look(BY_PRIVATE_URL)
    assert bench.sets.followed == {KeySetAddress(URL, "PEM")}


def test_keys_go_on_while_the_certificates_to_trust_change_or_go(bench: Bench) -> None:
    bench.maps.put("company-ca", {"ca.crt": b"PEM"})
    bench.sets.found[KeySetAddress(URL, "PEM")] = KeySetContent(is_known=True, text=GOOD)
    assert bench.says(BY_PRIVATE_URL) == (LABEL, "CallersKnown")

    bench.maps.put("company-ca", {"ca.crt": b"PEM of next year"})
    assert not bench.look(BY_PRIVATE_URL).is_known
    assert bench.callers.page("digits/jwt0") == GOOD

    bench.maps.put("company-ca", {"tls.crt": b"PEM"})
    [status] = bench.look(BY_PRIVATE_URL).statuses
    assert status.reason == "KeySetUnreachable"
    assert "no ca.crt in the ConfigMap, found tls.crt" in status.message

    bench.maps.put("company-ca", None)
    [status] = bench.look(BY_PRIVATE_URL).statuses
    assert "ConfigMap company-ca does not exist; the keys before it go on" in status.message
    assert bench.callers.page("digits/jwt0") == GOOD


def test_a_config_map_that_breaks_leaves_its_keys_and_one_that_goes_takes_them(
    bench: Bench,
) -> None:
    bench.maps.put("issuer", {"jwks.json": GOOD.encode()})
    assert bench.says(BY_MAP) == (LABEL, "CallersKnown")
    bench.maps.put("issuer", {"jwks.json": b"<html>"})
    assert bench.says(BY_MAP) == (LABEL, "KeySetBroken")
    assert bench.callers.page("digits/jwt0") == GOOD

    bench.maps.put("issuer", None)
    assert bench.says(BY_MAP) == (LABEL, "ConfigMapNotFound")
    assert bench.callers.page("digits/jwt0") is None


def test_an_entry_that_the_config_map_lacks_is_named(bench: Bench) -> None:
    bench.maps.put("issuer", {"keys.json": GOOD.encode()})
    [status] = bench.look(BY_MAP).statuses
    assert "no jwks.json in the ConfigMap, found keys.json" in status.message
    assert bench.callers.page("digits/jwt0") is None


def test_another_source_never_inherits_the_keys_of_the_one_before(bench: Bench) -> None:
    bench.maps.put("issuer", {"jwks.json": GOOD.encode()})
    bench.look(BY_MAP)
    bench.maps.put("other", {"jwks.json": b"<html>"})
    bench.look(tokens_from({"configMapRef": {"name": "other"}}))
    assert bench.callers.page("digits/jwt0") is None


def test_no_hash_is_in_any_text_of_an_object(bench: Bench) -> None:
    bench.secrets.put("digits-keys", {"ci": hash_key("secret")})
    assert hash_key("secret").decode() not in repr(bench.look(KEYS))
