"""Mutual TLS as Envoy is told of it."""

from dataclasses import replace

import pytest
from slipway.api.base import Manifest
from slipway.api.modelroute import TLSVersion
from slipway.render import envoy
from slipway.render.clients import Clients

ENCRYPTION = envoy.Encryption(min_version=TLSVersion.TLS_1_2, plaintext=False, has_certificate=True)


def a_route(clients: Clients | None) -> envoy.Route:
    encryption = replace(ENCRYPTION, clients=clients)
    return envoy.Route("digits", 10_000, (("aaaaaaaa", 100),), encryption=encryption)


def tls_of(route: envoy.Route) -> Manifest:
    [listener] = envoy.render_listeners("/xds", (route,))["resources"]
    [chain] = listener["filter_chains"]
    found: Manifest = chain["transport_socket"]["typed_config"]
    return found


def test_a_route_that_asks_for_no_client_certificate_is_what_it_was() -> None:
    assert a_route(None).hash == "eab0d69e6e65bc3d"
    assert "require_client_certificate" not in tls_of(a_route(None))
    assert "combined_validation_context" not in tls_of(a_route(None))["common_tls_context"]


@pytest.mark.parametrize("is_required", [True, False])
def test_the_authority_is_asked_for_by_the_route_so_that_a_new_one_closes_no_connection(
    *, is_required: bool
) -> None:
    tls = tls_of(a_route(Clients((), is_required=is_required)))
    assert tls.get("require_client_certificate", False) is is_required
    context = tls["common_tls_context"]["combined_validation_context"]
    assert context["validation_context_sds_secret_config"]["name"] == "digits/authority"
    assert a_route(Clients((), is_required=is_required)).hash != a_route(None).hash


@pytest.mark.parametrize(
    ("name", "kind", "matcher"),
    [
        ("web.vision.svc", "DNS", {"exact": "web.vision.svc"}),
        ("*.vision.svc", "DNS", {"suffix": ".vision.svc"}),
        ("spiffe://a.org/ns/x/*", "URI", {"prefix": "spiffe://a.org/ns/x/"}),
        ("urn:example:web", "URI", {"exact": "urn:example:web"}),
        ("team@example.org", "EMAIL", {"exact": "team@example.org"}),
    ],
)
def test_a_name_is_matched_by_its_kind(name: str, kind: str, matcher: Manifest) -> None:
    context = tls_of(a_route(Clients((name,), is_required=True)))["common_tls_context"]
    [match] = context["combined_validation_context"]["default_validation_context"][
        "match_typed_subject_alt_names"
    ]
    assert match == {"san_type": kind, "matcher": matcher}
