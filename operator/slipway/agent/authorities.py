"""Whose client certificates a route takes: an authority, as it is in force, and what is said of it.

An authority that cannot be used never replaces one that can. The last one is kept in a file, so
that an agent which restarts while the Secret is broken goes on as before.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from slipway.agent.certificates import WARN_BEFORE, BrokenCertificate, say_moment, text_of
from slipway.agent.secrets import SecretContent
from slipway.api.reasons import Reason, Why

AUTHORITIES_FILE = "authorities.json"
"""Beside the file of the certificates."""
AUTHORITY_KEY, REVOKED_KEY = "ca.crt", "ca.crl"
SIGNS = (EllipticCurvePublicKey, Ed448PublicKey, Ed25519PublicKey, RSAPublicKey)
"""Keys that an authority signs with."""
WARN_SHARE = 0.1
"""Of the life of a list of revoked certificates, which may be a day: less than that is left."""
_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Authority:
    """Certificates of authorities, of which one must have issued a client's certificate."""

    secret: str
    bundle: str
    """PEM."""
    expires: datetime
    """When every client is refused: the last authority or the first list of revoked ends."""
    revoked: str = ""
    """PEM: the lists of revoked certificates, of each authority one; empty: none is looked at."""
    warn_before: timedelta = WARN_BEFORE
    """How long before its end that is said."""
    what: str = "the clients' authority"
    """What ends first."""


def read_authority(secret: str, data: Mapping[str, bytes]) -> Authority:
    """Read the Secret of an authority; several certificates are for a change of authority.

    Raises:
        BrokenCertificate: with found and expected.

    """
    bundle = text_of(data, AUTHORITY_KEY)
    try:
        found = x509.load_pem_x509_certificates(bundle.encode())
    except ValueError as error:
        raise BrokenCertificate(f"{AUTHORITY_KEY} holds no PEM certificate: {error}") from error

    for position, each in enumerate(found, 1):
        if not _may_issue(each):
            raise BrokenCertificate(
                f"certificate {position} in {AUTHORITY_KEY}, {each.subject.rfc4514_string()}, is "
                "no authority: expected basicConstraints with CA:TRUE"
            )
    authority = Authority(secret, bundle, max(each.not_valid_after_utc for each in found))
    return _with_revoked(authority, data, found) if data.get(REVOKED_KEY) else authority


def _with_revoked(
    authority: Authority, data: Mapping[str, bytes], issuers: Sequence[x509.Certificate]
) -> Authority:
    """Add the lists of revoked certificates: with any, Envoy refuses clients of issuers without."""
    text = text_of(data, REVOKED_KEY)
    try:
        lists = [x509.load_pem_x509_crl(each) for each in _LIST.findall(text.encode())]
    except ValueError as error:
        raise BrokenCertificate(f"{REVOKED_KEY} holds no PEM list: {error}") from error

    for issuer in issuers:
        if not any(_is_list_of(issuer, each) for each in lists):
            raise BrokenCertificate(
                f"{REVOKED_KEY} has no list of {issuer.subject.rfc4514_string()}, which is in "
                f"{AUTHORITY_KEY}: every client of that authority would be refused"
            )

    ends = {each.next_update_utc: each for each in lists if each.next_update_utc is not None}
    first = min(ends, default=authority.expires)
    if first >= authority.expires:
        return replace(authority, revoked=text)
    life = first - ends[first].last_update_utc
    return replace(
        authority,
        revoked=text,
        expires=first,
        warn_before=min(WARN_BEFORE, life * WARN_SHARE),
        what=f"the list of revoked certificates in {REVOKED_KEY}",
    )


def _is_list_of(issuer: x509.Certificate, revoked: x509.CertificateRevocationList) -> bool:
    key = issuer.public_key()
    if revoked.issuer != issuer.subject or not isinstance(key, SIGNS):
        return False
    return revoked.is_signature_valid(key)


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


class Authorities:
    """Holds the authority of each route."""

    def __init__(self, file: Path) -> None:
        """`file` is where the agent after this one finds what is in force."""
        self._file = file
        self.in_force = _read_kept(file)
        """By route."""
        self._kept = dict(self.in_force)

    def take(self, route: str, secret: str, content: SecretContent, now: datetime) -> Why:
        """Put in force what the Secret holds, if it can be used; say what it is."""
        if content.data is None:
            return content.describe(secret)
        try:
            newest = read_authority(secret, content.data)
        except BrokenCertificate as error:
            return Why(Reason.CERTIFICATE_BROKEN, f"Secret {secret}: {error}")

        known = self.in_force.get(route)
        keeps = known is not None and known.secret == secret
        if not (keeps and known is not None and newest.expires <= now < known.expires):
            self.in_force[route] = newest
        return _describe(newest, now)

    def keep_only(self, routes: Collection[str]) -> None:
        """Forget the authorities of other routes, and write down those that are left."""
        self.in_force = {name: each for name, each in self.in_force.items() if name in routes}
        if self.in_force == self._kept:
            return

        kept = {
            name: [each.secret, each.bundle, each.expires.isoformat(), each.revoked]
            for name, each in self.in_force.items()
        }
        hidden = self._file.with_name(f".{self._file.name}")
        hidden.write_text(json.dumps(kept))
        hidden.rename(self._file)
        self._kept = dict(self.in_force)


def _read_kept(file: Path) -> dict[str, Authority]:
    """Read what the agent before this one had in force; an unreadable file counts as none."""
    try:
        found = json.loads(file.read_text())
        return {
            route: Authority(secret, bundle, datetime.fromisoformat(expires), revoked)
            for route, (secret, bundle, expires, revoked) in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _describe(newest: Authority, now: datetime) -> Why:
    what, expires = f"Secret {newest.secret}: {newest.what}", say_moment(newest.expires)
    if newest.expires <= now:
        return Why(Reason.CERTIFICATE_EXPIRED, f"{what} expired at {expires}")
    if newest.expires - newest.warn_before <= now:
        return Why(Reason.CERTIFICATE_EXPIRING, f"{what} expires at {expires}")
    return Why(Reason.CERTIFICATE_VALID, f"{what} is valid until {expires}")
