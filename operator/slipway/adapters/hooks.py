"""Asks webhooks: one short POST without secrets, whose answer is its status code alone.

Addresses are looked at when the connection is made, whatever a name claimed: loopback, link-local
and the clouds' metadata addresses are never connected to, unless the admin allowed that address.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from socket import AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from slipway import __version__
from slipway.adapters import untrusted_http
from slipway.adapters.background import Beside
from slipway.api.names import API_VERSION
from slipway.errors import FencedError
from slipway.policy.hook_call import HookAnswer, HookCall, Said
from slipway.policy.rollout.hooks import is_allowed

CONNECTIONS = 16
PASSES = 200
REJECTS = 409
"""Not 403: meshes and gateways answer that by themselves, and they know nothing of the model."""
METADATA = frozenset({"100.100.100.200", "168.63.129.16", "fd00:ec2::254"})
"""Of clouds that do not use a link-local address."""


class ForbiddenAddressError(OSError):
    """The name leads to an address that nobody should be led to."""


class PublicResolver(AbstractResolver):
    """Resolves names, and leaves out addresses of the machine itself and of cloud metadata."""

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
        """Close what resolves."""
        await self._resolver.close()


def is_forbidden(address: str) -> bool:
    """Return whether nobody may be led to an address by a name."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
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
        self._beside: Beside[HookAnswer] = Beside(patience_seconds=0, fresh_seconds=3600)

    def answer(self, key: str) -> HookAnswer | None:
        """Return the answer to a question, once it is there."""
        return self._beside.taken(key)

    async def ask(self, call: HookCall) -> None:
        """Begin to ask; the same question is not asked twice."""
        self._fence()
        await self._beside.ask(call.key, lambda: self._post(call))

    async def close(self) -> None:
        """End all questions and connections."""
        await self._beside.close()
        if self._session is not None:
            await self._session.close()

    async def _post(self, call: HookCall) -> HookAnswer:
        webhook = call.hook.webhook
        if not is_allowed(webhook.url, call.namespace, self._allowed):
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

    async def _answer(self, call: HookCall) -> HookAnswer:
        headers = {"Idempotency-Key": call.id}
        options = {"json": body_of(call), "headers": headers, "allow_redirects": False}
        async with self._open().post(call.hook.webhook.url, **options) as response:  # type: ignore[arg-type]
            status = response.status
            response.close()  # what else it says is of no interest, however long it is
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
                ssl=untrusted_http.trust(self._ca_file),
                force_close=True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": f"slipway-operator/{__version__}"}
            )
        return self._session


def body_of(call: HookCall) -> dict[str, object]:
    """Return what a hook is told."""
    return {
        "apiVersion": API_VERSION,
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
