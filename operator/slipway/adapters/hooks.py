"""Calls webhooks: one short POST without secrets, whose status code alone is the answer.

Addresses are checked when the connection is made, whatever the name was: loopback, link-local and
the clouds' metadata addresses are never connected to, unless the administrator allowed the address.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Sequence
from socket import AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from slipway import __version__
from slipway.adapters import untrusted_http
from slipway.adapters.background import BackgroundRequests
from slipway.api.names import HOOK_API_VERSION
from slipway.errors import FencedError
from slipway.policy.hook_call import HookAnswer, HookCall, Said
from slipway.policy.rollout.hooks import is_hook_allowed

log = logging.getLogger(__name__)

CONNECTIONS = 16
PASSES = 200
REJECTS = 409
"""Not 403: meshes and gateways answer that by themselves, without knowing the model."""
METADATA = frozenset({"100.100.100.200", "168.63.129.16", "fd00:ec2::254"})
"""Of clouds whose metadata address is not link-local."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""In an IPv6-only cluster, every IPv4 address has one here, in the last 32 bits."""


class ForbiddenAddressError(OSError):
    """The name resolves to an address that must not be connected to."""


class PublicResolver(AbstractResolver):
    """Resolves names, without the addresses of the machine itself and of cloud metadata."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to.

        Raises:
            ForbiddenAddressError: none may.

        """
        found = await self._resolver.resolve(host, port, family)
        kept = [item for item in found if not is_forbidden(item["host"])]
        if not kept:
            raise ForbiddenAddressError
        return kept

    async def close(self) -> None:
        """Close the resolver behind this one."""
        await self._resolver.close()


def is_forbidden(address: str) -> bool:
    """Return whether a name must not resolve to this address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _translated(ip) or ip.ipv4_mapped or ip.sixtofour or ip
    return _is_of_the_machine(ip)


def _translated(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a NAT64 gateway would connect to."""
    return ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else None


def _is_of_the_machine(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (
        ip.is_loopback
        or ip.is_link_local
        or ip.is_multicast
        or ip.is_unspecified
        or ip.is_reserved
        or str(ip) in METADATA
    )


class Webhooks:
    """Fits `slipway.reconcile.ports.HookSource`."""

    def __init__(
        self,
        allowed_hosts: Sequence[str] = (),
        *,
        ca_file: str = "",
        fence: Callable[[], None] = lambda: None,
    ) -> None:
        """`fence` raises `FencedError` where another process may be the leader."""
        self._allowed = list(allowed_hosts)
        self._ca_file = ca_file
        self._fence = fence
        self._session: aiohttp.ClientSession | None = None
        self._requests: BackgroundRequests[HookAnswer] = BackgroundRequests(
            patience_seconds=0, fresh_seconds=3600
        )

    def answer(self, key: str) -> HookAnswer | None:
        """Return the answer to a call, once it has arrived."""
        return self._requests.pick_up(key)

    async def ask(self, call: HookCall) -> None:
        """Send a call in the background; the same call is not sent twice."""
        self._fence()
        await self._requests.ask(call.key, lambda: self._post(call))

    async def close(self) -> None:
        """Cancel all calls and close all connections."""
        await self._requests.close()
        if self._session is not None:
            await self._session.close()

    async def _post(self, call: HookCall) -> HookAnswer:
        webhook = call.hook.webhook
        if not is_hook_allowed(webhook.url, call.namespace, self._allowed):
            return HookAnswer(Said.UNCLEAR, "HostNotAllowed")

        try:
            async with asyncio.timeout(webhook.timeout_seconds):
                self._fence()
                return await self._answer(call)
        except TimeoutError:
            return HookAnswer(Said.UNCLEAR, "Timeout")
        except FencedError:
            return HookAnswer(Said.UNCLEAR, "NotTheLeader")
        except ForbiddenAddressError:
            return HookAnswer(Said.UNCLEAR, "AddressNotAllowed")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            inner = getattr(error, "os_error", None)
            forbidden = isinstance(inner, ForbiddenAddressError)
            return HookAnswer(Said.UNCLEAR, "AddressNotAllowed" if forbidden else "Unreachable")
        except Exception:  # an answer must not end what the operator does
            log.exception("the answer of hook %s was not understood", call.hook.name)
            return HookAnswer(Said.UNCLEAR, "InternalError")

    async def _answer(self, call: HookCall) -> HookAnswer:
        headers = {"Idempotency-Key": call.id}
        options = {"json": build_hook_body(call), "headers": headers, "allow_redirects": False}
        async with self._open().post(call.hook.webhook.url, **options) as response:  # type: ignore[arg-type]
            status = response.status
            response.close()  # the body is never read, however long it is

        if status == PASSES:
            return HookAnswer(Said.PASSED, "Agreed")
        if status == REJECTS:
            return HookAnswer(Said.REJECTED, "HookRejected")
        return HookAnswer(Said.UNCLEAR, f"HTTP{status}")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                resolver=PublicResolver(),
                ssl=untrusted_http.trusted_tls_context(self._ca_file),
                force_close=True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": f"slipway-operator/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def build_hook_body(call: HookCall) -> dict[str, object]:
    """Return the body of the request to a hook."""
    return {
        "apiVersion": HOOK_API_VERSION,
        "kind": "HookRequest",
        "id": call.id,
        "hook": call.hook.name,
        "stage": call.hook.stage.value,
        "namespace": call.namespace,
        "name": call.name,
        "revision": call.revision,
        "version": call.version,
        "attempt": call.attempt,
        "step": call.step,
        "weight": call.weight,
    }
