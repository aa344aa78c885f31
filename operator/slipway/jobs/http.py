"""HTTP for Jobs, which stream gigabytes: the connection pool, TLS trust and back-off.

The pool never follows a redirect or retries by itself: both are decisions about trust.
"""

import ipaddress
import random
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3

USER_AGENT = "slipway"
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""Longest silence on a connection; a transfer may take longer."""
BLOCK_BYTES = 2**20

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
"""A name, an IPv4 or an IPv6 address, without brackets."""
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509})
MAX_RETRY_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and the hosts that are reached without it."""

    url: str
    without: Sequence[str] = ()
    """Hosts, domains and networks, as in NO_PROXY."""

    def fits(self, url: str) -> bool:
        """Return whether a request goes through the proxy."""
        host = (urlsplit(url).hostname or "").lower()
        return not any(_covers(rule.lower(), host) for rule in self.without)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try, and how long to wait between two attempts."""

    attempts: int = 6
    first_seconds: float = 0.5
    most_seconds: float = 15.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    """Returns a number in [0, 1)."""

    def wait(self, failures: int, retry_after: str | None = None) -> None:
        """Wait after so many consecutive failures, at least as long as Retry-After asks for.

        Up to half as long again by chance, so that what was refused together comes back apart.
        """
        delay = min(self.first_seconds * 2 ** (failures - 1), self.most_seconds)
        delay = max(delay, _retry_after_seconds(retry_after))
        self.sleep(delay * (1 + self.chance() / 2))


class _PoolWithProxy(urllib3.PoolManager):
    """A pool that sends what a proxy is for to the proxy, and all else directly."""

    def __init__(self, proxy: Proxy, **options: Any) -> None:
        super().__init__(**options)
        self._proxy = proxy
        self._behind = urllib3.ProxyManager(proxy.url, **options)

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        if self._proxy.fits(url):
            return self._behind.urlopen(method, url, redirect, **options)
        return super().urlopen(method, url, redirect, **options)

    def clear(self) -> None:
        self._behind.clear()
        super().clear()


def open_pool(ca_file: Path | None = None, proxy: Proxy | None = None) -> urllib3.PoolManager:
    """Return a pool that trusts the system's certificates and those of `ca_file`."""
    options: dict[str, Any] = {
        "retries": False,
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        "headers": {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        "blocksize": BLOCK_BYTES,
        "ssl_context": make_tls_context(ca_file),
    }
    if proxy is None:
        return urllib3.PoolManager(**options)
    return _PoolWithProxy(proxy, **options)


def without_secrets(url: str) -> str:
    """Return the URL for messages, without user, password and query, which may be secret.

    It need not be a valid one.
    """
    address = re.split("[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def address_problem(url: str) -> str | None:
    """Return what is wrong with the host or the port of a URL; None where nothing is."""
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None

    if HOST.fullmatch(host) and port != 0:
        return None
    return (
        f"found the host {authority!r}, expected a name or an IP address, with a port if there is "
        "one: a placeholder that was not filled in?"
    )


def is_untrusted(error: BaseException) -> bool:
    """Return whether a connection failed because the server's certificate is not trusted."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True

        # urllib3 wraps the cause as the last argument, not always as __cause__.
        inner = cause.args[-1] if cause.args else None
        cause = cause.__cause__ or (inner if isinstance(inner, BaseException) else None)
    return False


def _covers(rule: str, host: str) -> bool:
    """Return whether a host is the one of a rule, or in its domain or network."""
    domain = rule.removeprefix("*").lstrip(".")
    if rule == "*" or host == domain or host.endswith(f".{domain}"):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def make_tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the system's certificates and those of `ca_file`."""
    context = ssl.create_default_context()
    for path in _further_authorities(context, ca_file):
        context.load_verify_locations(path)
    return context


def further_authorities(ca_file: Path | None) -> str | None:
    """Return the certificates that a client with the system's own must trust besides; or None."""
    paths = _further_authorities(ssl.create_default_context(), ca_file)
    return "\n".join(path.read_text() for path in paths) or None


def _further_authorities(context: ssl.SSLContext, ca_file: Path | None) -> list[Path]:
    is_bare = not context.cert_store_stats()["x509_ca"]  # slim images have no certificates
    paths = [Path(certifi.where()) if is_bare else None, ca_file]
    return [path for path in paths if path is not None]


def _retry_after_seconds(retry_after: str | None) -> float:
    """Return the wait that a Retry-After header asks for, in seconds or as a date; 0 without."""
    if retry_after is None:
        return 0.0

    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            return 0.0

    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
