"""Requests to one registry: authentication, redirects, retries and error messages.

Credentials and tokens are sent to the registry's own address only; a request that is redirected
elsewhere is sent there without them.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from slipway.errors import RegistryRefused, RegistryUnavailable
from slipway.jobs.file_tree import Block
from slipway.jobs.http import TRANSIENT_STATUS, Backoff, is_untrusted, without_secrets
from slipway.jobs.registry.credentials import Keyring

Scopes = tuple[str, ...]
"""Rights that a token grants: ``repository:<name>:pull,push``."""
Body = bytes | Callable[[], Iterable[Block]] | None
"""A body that can be sent again."""

UNAUTHORIZED = 401
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
CHALLENGE_FIELD = re.compile(r'(\w+)="([^"]*)"')


class NoAnswer(RegistryUnavailable):
    """A request got no answer, or one about transient trouble."""

    def __init__(self, problem: str, retry_after: str | None = None) -> None:
        """Take the problem, and the Retry-After header of the answer if it had one."""
        super().__init__(problem)
        self.retry_after = retry_after


def pull_scope(repository: str) -> str:
    """Return the scope to read."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Return the scope to read and write."""
    return f"repository:{repository}:pull,push"


@dataclass(frozen=True, slots=True)
class _Request:
    """A request, whichever address it is sent to."""

    method: str
    scopes: Scopes
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = None
    stream: bool = False


@dataclass(slots=True)
class RegistryClient:
    """A client of one registry."""

    host: str
    """Host as in image names."""
    base: str
    """``scheme://host[:port]`` to connect to."""
    pool: urllib3.PoolManager
    keyring: Keyring = field(default_factory=Keyring)
    backoff: Backoff = field(default_factory=Backoff)
    _authorizations: dict[Scopes, str] = field(default_factory=dict)

    def url(self, repository: str, path: str) -> str:
        """Return the URL of a path in a repository."""
        return f"{self.base}/v2/{repository}/{path}"

    def call(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, with retries, until there is an answer that is not transient trouble.

        Raises:
            RegistryUnavailable: no such answer after all attempts.
            RegistryRefused: the credentials are not accepted, or the certificate is not trusted.

        """
        request = _Request(method, scopes, headers or {}, body, stream)
        failures = 0

        while True:
            try:
                return self._call_once(request, url)
            except NoAnswer as problem:
                failures += 1
                if failures >= self.backoff.attempts:
                    raise
                self.backoff.wait(failures, problem.retry_after)

    def send_once(
        self, method: str, url: str, scopes: Scopes, headers: Mapping[str, str], body: Body
    ) -> urllib3.BaseHTTPResponse:
        """Send a request without retries, for a body that must not be sent again from its start.

        Raises:
            RegistryUnavailable: no answer, or one about transient trouble.
            RegistryRefused: as in `call`.

        """
        return self._call_once(_Request(method, scopes, headers, body), url)

    def location(self, response: urllib3.BaseHTTPResponse, url: str) -> str:
        """Return the URL that the Location header of an answer leads to.

        Raises:
            RegistryRefused: there is no Location, or one that leaves TLS.

        """
        found = response.headers.get("Location")
        if found is None:
            raise RegistryRefused(
                f"registry {without_secrets(url)}: found an answer without a Location"
            )

        # A registry behind a proxy often names itself with http; its own address stays https.
        target = urlsplit(urljoin(url, found))
        own = urlsplit(self.base)
        if target.netloc == own.netloc:
            target = target._replace(scheme=own.scheme)

        if own.scheme == "https" and target.scheme != "https":
            raise RegistryRefused(
                f"registry {without_secrets(url)}: found a Location with {target.scheme}, "
                "expected https"
            )
        return target.geturl()

    def _call_once(self, request: _Request, url: str) -> urllib3.BaseHTTPResponse:
        """Send a request once, or again where a token was missing or had expired."""
        response = self._send(request, url)
        if response.status == UNAUTHORIZED and self._is_own(url):
            self._authorizations.pop(request.scopes, None)
            response.drain_conn()
            self._authorize(response, url, request.scopes)
            response = self._send(request, url)

        if response.status in TRANSIENT_STATUS:
            raise _no_answer(request.method, url, f"status {response.status}", response)
        return response

    def _send(self, request: _Request, url: str) -> urllib3.BaseHTTPResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._exchange(request, url, self._headers(url, request))
            if request.method not in {"GET", "HEAD"} or response.status not in REDIRECTS:
                return response
            response.close()
            url = self.location(response, url)
        raise RegistryRefused(
            f"registry {without_secrets(url)}: found more than {MAX_REDIRECTS} redirects in a row"
        )

    def _exchange(
        self, request: _Request, url: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self.pool.request(
                request.method,
                url,
                headers=dict(headers),
                body=_make_body(request.body),
                preload_content=not request.stream,
                redirect=False,
            )

        except HTTPError as error:
            if is_untrusted(error):
                raise RegistryRefused(
                    f"registry {without_secrets(url)}: the certificate is not trusted: {error}"
                ) from error
            raise _no_answer(request.method, url, f"no answer ({type(error).__name__})") from error

    def _headers(self, url: str, request: _Request) -> dict[str, str]:
        own = {**self.pool.headers, **request.headers}
        authorization = self._authorizations.get(request.scopes)
        if authorization is not None and self._is_own(url):
            own["Authorization"] = authorization
        return own

    def _is_own(self, url: str) -> bool:
        return url.startswith(f"{self.base}/")

    def _authorize(self, response: urllib3.BaseHTTPResponse, url: str, scopes: Scopes) -> None:
        """Answer the challenge of a 401, and keep the authorization for these scopes."""
        challenge = response.headers.get("WWW-Authenticate", "")
        scheme = challenge.partition(" ")[0].lower()
        credential = self.keyring.find(self._image(scopes))

        if scheme == "bearer":
            fields = dict(CHALLENGE_FIELD.findall(challenge))
            basic = credential.authorization if credential else None
            self._authorizations[scopes] = f"Bearer {self._token(fields, scopes, basic)}"
        elif scheme == "basic" and credential is not None:
            self._authorizations[scopes] = credential.authorization
        else:
            problem = (
                "refused the credentials" if credential else "asks for credentials, found none"
            )
            raise RegistryRefused(f"registry {without_secrets(url)}: {problem} for {self.host}")

    def _image(self, scopes: Scopes) -> str:
        return f"{self.host}/{scopes[0].split(':')[1]}"

    def _token(self, fields: Mapping[str, str], scopes: Scopes, basic: str | None) -> str:
        """Return a token from the address that a challenge names."""
        realm = fields.get("realm", "")
        if urlsplit(realm).scheme not in {"https", urlsplit(self.base).scheme}:
            raise RegistryRefused(
                f"registry {self.host}: found token address {realm!r}, expected https"
            )

        query = [("service", fields.get("service", "")), *(("scope", scope) for scope in scopes)]
        headers = {**self.pool.headers, **({"Authorization": basic} if basic else {})}
        url = f"{realm}?{urlencode(query)}"
        response = self._exchange(_Request("GET", scopes), url, headers)
        if response.status in TRANSIENT_STATUS:
            raise _no_answer("GET", realm, f"status {response.status}", response)

        try:
            answer = json.loads(response.data)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise RegistryRefused(
                f"registry {self.host}: found no token for {', '.join(scopes)}, "
                f"status {response.status}{'' if basic else ', no credentials found'}"
            ) from error


def _make_body(body: Body) -> Any:
    """Return what urllib3 sends; it takes views of bytes too, which its types do not say."""
    return body() if callable(body) else body


def unexpected_status(method: str, url: str, response: urllib3.BaseHTTPResponse) -> RegistryRefused:
    """Return the error for an unexpected status, with the registry's own explanation."""
    if not response.closed:
        response.read(cache_content=True)
    return RegistryRefused(
        f"registry {method} {without_secrets(url)}: status {response.status}"
        f"{_error_details(response.data)}"
    )


def _error_details(data: bytes) -> str:
    try:
        errors = json.loads(data)["errors"]
        return "".join(f", {item.get('code')}: {item.get('message')}" for item in errors[:3])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _no_answer(
    method: str, url: str, problem: str, response: urllib3.BaseHTTPResponse | None = None
) -> NoAnswer:
    retry_after = None if response is None else response.headers.get("Retry-After")
    return NoAnswer(f"registry {method} {without_secrets(url)}: {problem}", retry_after)
