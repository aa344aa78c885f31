"""What routes need to let clients in: certificates, as they are served, and what is said of them.

A certificate that cannot serve never replaces one that can, and concerns no route but its own. The
last one that served is kept in a file beside Envoy's, so that an agent which restarts while the
Secret is broken goes on as before.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from slipway.agent.certificates import (
    WARN_BEFORE,
    BrokenCertificate,
    Certificate,
    covers,
    list_names,
    read_certificate,
)
from slipway.agent.desired import DesiredRoute, Needed
from slipway.agent.discovery import Discovery
from slipway.agent.secrets import SecretContent
from slipway.api.modelroute import CredentialStatus
from slipway.api.reasons import Reason, Why, shortened
from slipway.api.times import to_wire
from slipway.render import envoy
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

    def look(self, routes: Iterable[DesiredRoute]) -> dict[str, Needed]:
        """Return what is known of the credentials of each route that needs any."""
        encrypted = [(route.name, route.spec.tls) for route in routes if route.spec.tls is not None]
        self._secrets.follow({tls.secret for _, tls in encrypted})

        before = dict(self._served)
        found = {name: self._look_at_certificate(name, tls.secret) for name, tls in encrypted}
        self._served = {name: each for name, each in self._served.items() if name in found}

        if self._served != before:
            self._keep()
        self.discovery.publish(
            {
                envoy.certificate_name(name): envoy.render_certificate(name, each.certificate.pair)
                for name, each in self._served.items()
            }
        )
        return found

    def _look_at_certificate(self, route: str, secret: str) -> Needed:
        content, now = self._secrets.get(secret), self.now()
        if not content.is_known:
            return Needed(is_known=False, has_certificate=route in self._served)

        why = self._take(route, secret, content, now)
        served = self._served.get(route)
        expires = served.certificate.expires if served is not None else None
        message = why.message
        if expires is not None and why.reason in _UNUSABLE:
            message += f"; the one before it is served, until {_say(expires)}"

        status = CredentialStatus(
            source=f"Secret {secret}",
            reason=why.reason,
            message=shortened(message, MESSAGE_LENGTH),
            expires=to_wire(expires) if expires is not None else None,
        )
        moments = (expires - WARN_BEFORE, expires) if expires is not None else ()
        return Needed(
            has_certificate=served is not None,
            statuses=(status,),
            next_look=min((moment for moment in moments if moment > now), default=None),
        )

    def _take(self, route: str, secret: str, content: SecretContent, now: datetime) -> Why:
        """Serve what the Secret holds, if that is no worse than what is served; say what it is."""
        if content.data is None:
            return _unread(secret, content)
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


def _unread(secret: str, content: SecretContent) -> Why:
    if content.is_forbidden:
        return Why(
            Reason.SECRET_UNREADABLE,
            f"Secret {secret}: the ServiceAccount slipway-router may not list and watch it",
        )
    if content.problem is not None:
        return Why(Reason.SECRET_UNREADABLE, f"Secret {secret}: {content.problem}")
    return Why(Reason.SECRET_NOT_FOUND, f"Secret {secret} does not exist")


def _describe(secret: str, newest: Certificate, hosts: tuple[str, ...], now: datetime) -> Why:
    expires = _say(newest.expires)
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


def _say(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _hosts_of(route: str, namespace: str) -> tuple[str, ...]:
    """Return the names of the Service that clients call."""
    short = (route, f"{route}.{namespace}", f"{route}.{namespace}.svc")
    return (short[2], *short[:2], f"{short[2]}.cluster.local")
