"""What routes need to let clients in: certificates, as they are served, and what is said of them.

A certificate that cannot serve never replaces one that can, and concerns no route but its own. The
last one that served is kept in a file beside Envoy's, so that an agent which restarts while the
Secret is broken goes on as before.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from slipway.agent.authorities import AUTHORITIES_FILE, Authorities
from slipway.agent.certificates import (
    WARN_BEFORE,
    BrokenCertificate,
    Certificate,
    covers,
    list_names,
    read_certificate,
    say_moment,
)
from slipway.agent.desired import DesiredRoute, Needed
from slipway.agent.discovery import Discovery
from slipway.agent.secrets import SecretContent
from slipway.api.base import Manifest
from slipway.api.modelroute import CredentialStatus, RouteTLS
from slipway.api.reasons import Reason, Why, shortened
from slipway.api.times import to_wire
from slipway.render import envoy
from slipway.render.clients import authority_name
from slipway.render.envoy import CertificatePair

log = logging.getLogger(__name__)

CERTIFICATES_FILE = "certificates.json"
"""Of the directory that agent and Envoy share, which is memory and ends with the pod."""
MESSAGE_LENGTH = 512
_UNUSABLE = {Reason.CERTIFICATE_BROKEN, Reason.SECRET_NOT_FOUND, Reason.SECRET_UNREADABLE}


class SecretSource(Protocol):
    """Where Secrets come from; `slipway.agent.secrets.Secrets` fits."""

    def follow(self, names: Collection[str]) -> None:
        """Follow these and no others."""

    def get(self, name: str) -> SecretContent:
        """Return what is known of a Secret that is followed."""


@dataclass(frozen=True, slots=True)
class _Served:
    """The certificate that a route's clients are shown."""

    secret: str
    certificate: Certificate


class Credentials:
    """Decides what each route serves with, and what is to be said of it."""

    def __init__(
        self, secrets: SecretSource, namespace: str, file: Path, now: Callable[[], datetime]
    ) -> None:
        """`file` is where the agent after this one finds what is served."""
        self.discovery = Discovery()
        """Where Envoy asks for certificates."""
        self._secrets = secrets
        self._namespace = namespace
        self._file = file
        self.now = now
        self._served = _read_kept(file)
        self._authorities = Authorities(file.with_name(AUTHORITIES_FILE))

    def look(self, routes: Iterable[DesiredRoute]) -> dict[str, Needed]:
        """Return what is known of the credentials of each route that needs any."""
        encrypted = [(route.name, route.spec.tls) for route in routes if route.spec.tls is not None]
        named = [tls.secret for _, tls in encrypted]
        named += [tls.clients.secret for _, tls in encrypted if tls.clients is not None]
        self._secrets.follow(named)

        before = dict(self._served)
        found = {name: self._look_at(name, tls) for name, tls in encrypted}
        self._served = {name: each for name, each in self._served.items() if name in found}

        if self._served != before:
            self._keep()
        self._authorities.keep_only({name for name, tls in encrypted if tls.clients is not None})
        self.discovery.publish(self._documents())
        return found

    def _documents(self) -> dict[str, Manifest]:
        """Return what Envoy asks for: certificates, and authorities of clients."""
        certificates = {
            envoy.certificate_name(name): envoy.render_certificate(name, each.certificate.pair)
            for name, each in self._served.items()
        }
        authorities = {
            authority_name(name): envoy.render_authority(name, each.bundle, each.revoked)
            for name, each in self._authorities.in_force.items()
        }
        return certificates | authorities

    def _look_at(self, route: str, tls: RouteTLS) -> Needed:
        """Return what is known of a route's certificate, and of the authority of its clients."""
        certificate = self._look_at_certificate(route, tls.secret)
        if tls.clients is None:
            return certificate
        authority = self._look_at_authority(route, tls.clients.secret)
        has_both = certificate.has_certificate and authority.has_certificate
        return replace(certificate.and_also(authority), has_certificate=has_both)

    def _look_at_authority(self, route: str, secret: str) -> Needed:
        content, now = self._secrets.get(secret), self.now()
        if not content.is_known:
            return Needed(is_known=False, has_certificate=route in self._authorities.in_force)

        why = self._authorities.take(route, secret, content, now)
        in_force = self._authorities.in_force.get(route)
        if in_force is not None and self.discovery.is_refused(authority_name(route)):
            why = Why(
                Reason.CERTIFICATE_BROKEN,
                f"Secret {secret}: Envoy refuses what it holds in ca.crt and ca.crl",
            )
        expires = in_force.expires if in_force is not None else None
        warn_before = in_force.warn_before if in_force is not None else WARN_BEFORE
        return _needed(f"Secret {secret}/ca.crt", why, expires, now, warn_before)

    def _look_at_certificate(self, route: str, secret: str) -> Needed:
        content, now = self._secrets.get(secret), self.now()
        if not content.is_known:
            return Needed(is_known=False, has_certificate=route in self._served)

        why = self._take(route, secret, content, now)
        served = self._served.get(route)
        expires = served.certificate.expires if served is not None else None
        return _needed(f"Secret {secret}", why, expires, now)

    def _take(self, route: str, secret: str, content: SecretContent, now: datetime) -> Why:
        """Serve what the Secret holds, if that is no worse than what is served; say what it is."""
        if content.data is None:
            return content.describe(secret)
        try:
            newest = read_certificate(content.data, now)
        except BrokenCertificate as error:
            return Why(Reason.CERTIFICATE_BROKEN, f"Secret {secret}: {error}")

        known = self._served.get(route)
        serves_better = (
            known is not None
            and known.secret == secret
            and (newest.expires <= now < known.certificate.expires)
        )
        if not serves_better:
            self._served[route] = _Served(secret, newest)
        if self.discovery.is_refused(envoy.certificate_name(route)):
            return Why(Reason.CERTIFICATE_BROKEN, f"Secret {secret}: Envoy refuses what it holds")
        return _describe(secret, newest, _hosts_of(route, self._namespace), now)

    def _keep(self) -> None:
        kept = {
            route: {
                "secret": each.secret,
                **asdict(each.certificate.pair),
                "expires": each.certificate.expires.isoformat(),
                "names": each.certificate.names,
            }
            for route, each in self._served.items()
        }
        hidden = self._file.with_name(f".{self._file.name}")
        hidden.touch(mode=0o600)
        hidden.write_text(json.dumps(kept))
        hidden.rename(self._file)


def _read_kept(file: Path) -> dict[str, _Served]:
    """Read what the agent before this one served; an unreadable file counts as none."""
    try:
        found = json.loads(file.read_text())
        return {
            route: _Served(
                each["secret"],
                Certificate(
                    CertificatePair(each["chain"], each["key"]),
                    datetime.fromisoformat(each["expires"]),
                    tuple(each["names"]),
                ),
            )
            for route, each in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _needed(
    source: str,
    why: Why,
    expires: datetime | None,
    now: datetime,
    warn_before: timedelta = WARN_BEFORE,
) -> Needed:
    """Return what is known of something that expires; None: nothing is in force."""
    message = why.message
    if expires is not None and why.reason in _UNUSABLE:
        message += f"; the one before it is served, until {say_moment(expires)}"

    status = CredentialStatus(
        source=source,
        reason=why.reason,
        message=shortened(message, MESSAGE_LENGTH),
        expires=to_wire(expires) if expires is not None else None,
    )
    moments = (expires - warn_before, expires) if expires is not None else ()
    return Needed(
        has_certificate=expires is not None,
        statuses=(status,),
        next_look=min((moment for moment in moments if moment > now), default=None),
    )


def _describe(secret: str, newest: Certificate, hosts: tuple[str, ...], now: datetime) -> Why:
    expires = say_moment(newest.expires)
    if newest.expires <= now:
        return Why(Reason.CERTIFICATE_EXPIRED, f"Secret {secret}: expired at {expires}")
    if newest.expires - WARN_BEFORE <= now:
        return Why(Reason.CERTIFICATE_EXPIRING, f"Secret {secret}: expires at {expires}")
    if not covers(newest, hosts):
        found = list_names(newest.names)
        return Why(
            Reason.CERTIFICATE_FOR_OTHERS,
            f"Secret {secret}: is for {found}, and not for {hosts[0]}: clients that call the "
            "Service by that name will refuse it",
        )
    return Why(Reason.CERTIFICATE_VALID, f"Secret {secret}: valid until {expires}")


def _hosts_of(route: str, namespace: str) -> tuple[str, ...]:
    """Return the names of the Service that clients call."""
    short = (route, f"{route}.{namespace}", f"{route}.{namespace}.svc")
    return (short[2], *short[:2], f"{short[2]}.cluster.local")
