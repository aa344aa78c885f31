"""Mutual TLS as Envoy is told of it: an authority, and the names that a certificate may have."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from slipway.api.base import Manifest

_TRANSPORT = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


@dataclass(frozen=True, slots=True)
class Clients:
    """Whose certificates a listener takes."""

    names: tuple[str, ...]
    """Whole, as a beginning before a `*`, or as an end after `*.`; empty: any name."""
    is_required: bool
    """It closes connections without a certificate."""


def authority_name(route: str) -> str:
    """Return the name under which a route's listener asks for the authority of its clients."""
    return f"{route}/authority"


def authority_secret(route: str, bundle: str, revoked: str = "") -> Manifest:
    """Return the Secret, as Envoy knows it, of an authority and its revoked certificates in PEM."""
    context: Manifest = {"trusted_ca": {"inline_string": bundle}}
    if revoked:
        # Of what is between the client's certificate and the authority there may be no list.
        context |= {"crl": {"inline_string": revoked}, "only_verify_leaf_cert_crl": True}
    return {
        "@type": f"{_TRANSPORT}.Secret",
        "name": authority_name(route),
        "validation_context": context,
    }


def client_validation(clients: Clients, authority: Manifest) -> Manifest:
    """Return the part of a TLS context that checks clients; `authority` says where it is polled."""
    return {
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": list(_match_names(clients.names))
            },
            "validation_context_sds_secret_config": authority,
        }
    }


def _match_names(names: Iterable[str]) -> Iterator[Manifest]:
    for name in names:
        yield {"san_type": _kind_of(name), "matcher": _match(name)}


def _kind_of(name: str) -> str:
    if "://" in name or name.startswith("urn:"):
        return "URI"
    return "EMAIL" if "@" in name else "DNS"


def _match(name: str) -> Manifest:
    if name.startswith("*."):
        return {"suffix": name[1:]}
    if name.endswith("*"):
        return {"prefix": name[:-1]}
    return {"exact": name}
