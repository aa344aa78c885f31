"""Who is let in: pages of other sites, other users of the machine, and names that were re-bound.

A page on the loopback is reachable for every site that the browser shows, and for every user of
the machine. So a request must be for the loopback by name, must not come from another origin, and
must carry the token, in a header: browsers send no such header by themselves, as they do cookies,
which programs on other ports of the loopback would be sent too.
"""

import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Of any port: whoever forwards one by ssh gets another; a re-bound name is never one of these."""
OWN_SITES = frozenset({"same-origin", "none"})
"""None: a person typed the address, or opened a link from outside."""
API = "/api/"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class PageGuard:
    """Middleware: refuses what is not from this page, and says in every answer what it may do."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = find_refusal(scope["path"], Headers(scope=scope), self._token)
        if refusal:
            status, text = refusal
            response = JSONResponse({"error": {"message": text, "try": ""}}, status)
            await response(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def find_refusal(path: str, headers: Headers, token: str) -> tuple[int, str] | None:
    """Return the status and why a request is refused; None: it is let in."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if _has_port(host) else host
    if name not in HOSTS:
        return 421, "this page answers on the loopback alone, by that name"

    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin != f"http://{host}":
        return 403, "the request comes from another origin"
    if path.startswith(API) and site is not None and site not in OWN_SITES:
        return 403, "the request comes from another site"

    if path.startswith(API) and not _has_token(headers.getlist("authorization"), token):
        return 401, "the token is missing or is of an earlier start"
    return None


def _has_port(host: str) -> bool:
    return ":" in host and not host.endswith("]")


def _has_token(given: Iterable[str], token: str) -> bool:
    wanted = f"Bearer {token}".encode()
    return any(hmac.compare_digest(text.encode(), wanted) for text in given)
