"""Hooks at Services of a namespace, which must be what they seem: no alias for another host.

Whoever may write Services in a namespace could otherwise have the operator call what only the
operator's pod reaches, with a Service of type ExternalName.
"""

from collections import OrderedDict
from collections.abc import Sequence

from slipway.api import kinds
from slipway.policy.hook_call import HookAnswer, HookCall, Said
from slipway.policy.rollout.hooks import is_host_listed, service_in
from slipway.reconcile.ports import Cluster, HookSource

REMEMBERED = 1024
ALIAS = HookAnswer(Said.UNCLEAR, "HostNotAllowed")


class ServiceHooks:
    """Fits `slipway.reconcile.ports.HookSource`, before one that makes the calls."""

    def __init__(self, hooks: HookSource, cluster: Cluster, allowed_hosts: Sequence[str]) -> None:
        self._hooks = hooks
        self._cluster = cluster
        self._allowed = list(allowed_hosts)
        self._asked: OrderedDict[str, HookAnswer | None] = OrderedDict()
        """What was looked up, by question: the refusal, or None where the hook is asked itself."""

    def answer(self, key: str) -> HookAnswer | None:
        """Return the answer to a question, once it is there."""
        return self._asked.get(key) or self._hooks.answer(key)

    async def ask(self, call: HookCall) -> None:
        """Begin to ask, unless the Service is an alias: then the answer is that it may not be.

        Raises:
            FencedError: this process may not act any more.
            ClusterUnavailable: the Service could not be read; nothing was asked.

        """
        if call.key not in self._asked:
            self._asked[call.key] = ALIAS if await self._is_alias(call) else None
            if len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)
        if self._asked[call.key] is None:
            await self._hooks.ask(call)

    async def _is_alias(self, call: HookCall) -> bool:
        url = call.hook.webhook.url
        name = service_in(url, call.namespace)
        if name is None or is_host_listed(url, self._allowed):
            return False  # the administrator allowed this host, whatever it leads to
        service = await self._cluster.get(kinds.SERVICE, call.namespace, name)
        return service is not None and service.get("spec", {}).get("type") == "ExternalName"
