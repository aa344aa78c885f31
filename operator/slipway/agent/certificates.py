"""Whether a certificate, its chain and its key can serve clients; pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from slipway.render.envoy import CertificatePair

CHAIN_KEY, PRIVATE_KEY = "tls.crt", "tls.key"
WARN_BEFORE = timedelta(days=7)
NAMED = 5
"""Names of a certificate that a message lists."""


class BrokenCertificate(Exception):
    """What is in the Secret cannot serve anybody; the message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that can serve: its key fits, and its chain is in order."""

    pair: CertificatePair
    expires: datetime
    names: tuple[str, ...]
    """DNS names and IP addresses that it is for."""


def read_certificate(data: Mapping[str, bytes], now: datetime) -> Certificate:
    """Read a Secret of type kubernetes.io/tls.

    Raises:
        BrokenCertificate: with found and expected.

    """
    chain, key = (text_of(data, entry) for entry in (CHAIN_KEY, PRIVATE_KEY))
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
    except ValueError as error:
        raise BrokenCertificate(f"{CHAIN_KEY} holds no PEM certificate: {error}") from error
    leaf = certificates[0]

    _check_key(leaf, key)
    _check_chain(certificates)
    if leaf.not_valid_before_utc > now:
        raise BrokenCertificate(f"not valid before {say_moment(leaf.not_valid_before_utc)}")
    return Certificate(CertificatePair(chain, key), leaf.not_valid_after_utc, _names_of(leaf))


def covers(certificate: Certificate, hosts: Collection[str]) -> bool:
    """Return whether the certificate is for one of the hosts; a `*` stands for one label."""
    return any(_matches(name.lower(), host) for name in certificate.names for host in hosts)


def list_names(names: Sequence[str]) -> str:
    """Return the names that a certificate is for, as a message says them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more if names else "no name"


def say_moment(moment: datetime) -> str:
    """Return a moment as a message says it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def text_of(data: Mapping[str, bytes], entry: str) -> str:
    """Return the PEM text of a Secret's entry.

    Raises:
        BrokenCertificate: there is none.

    """
    if not data.get(entry):
        found = ", ".join(sorted(data)) or "no entries"
        raise BrokenCertificate(f"no {entry} in it, found {found}")
    try:
        return data[entry].decode("ascii")
    except UnicodeDecodeError as error:
        raise BrokenCertificate(f"{entry} is no PEM: {error}") from error


def _check_key(leaf: x509.Certificate, text: str) -> None:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BrokenCertificate(
            f"{PRIVATE_KEY} holds no PEM key without password: {error}"
        ) from error

    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise BrokenCertificate(
            f"{PRIVATE_KEY} is not the key of the first certificate in {CHAIN_KEY}"
        )


def _check_chain(certificates: Sequence[x509.Certificate]) -> None:
    for position, (one, issuer) in enumerate(pairwise(certificates), 1):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise BrokenCertificate(
                f"certificate {position} in {CHAIN_KEY} is not issued by the one after it: "
                f"issuer {one.issuer.rfc4514_string()}, found {issuer.subject.rfc4514_string()}"
            ) from error


def _names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(each) for each in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _matches(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host
