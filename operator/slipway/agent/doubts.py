"""Pods that were ready, that the cluster calls not ready, and that are asked themselves.

An API server that was away for a minute calls every pod of a node not ready until it has heard from
the kubelet, and EndpointSlices do not say that it is this. So the agent asks such a pod what the
kubelet asks it. While it answers it is as good as ready where no other pod is; once it does not,
what the cluster says counts, until it calls the pod ready again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

import aiohttp
from yarl import URL

from slipway.agent.endpoints import Endpoint
from slipway.api.protocol import Protocol
from slipway.render.envoy import Address

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Between a pod's answer and the next question to it."""
ANSWER_SECONDS = 1.0
"""For an answer. What Envoy sends to a pod that hangs in this time hangs with it."""

Services = Mapping[str, Sequence[Endpoint]]
"""Pods by Service."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a pod is ready to answer requests for a model, as the kubelet asks it."""

    pod: str
    address: Address
    model: str

    @property
    def url(self) -> URL:
        """Return where it is asked."""
        host, port = self.address
        path = f"/v2/models/{self.model}/ready"
        return URL.build(scheme="http", host=host, port=port, path=path)


def question_to(endpoint: Endpoint, model: str) -> Question | None:
    """Return the question to a pod; None where it speaks no HTTP."""
    address = endpoint.address(Protocol.HTTP)
    return None if address is None else Question(endpoint.pod, address, model)


def find_trusted(
    services: Services,
    models: Mapping[str, str],
    before: Collection[Question],
    inherited: Collection[Address] = (),
) -> dict[Question, Endpoint]:
    """Return the pods that are ready, or were and have answered ever since.

    Args:
        services: pods by Service, as the cluster has them.
        models: by Service, of those that a route names; what others have is never asked.
        before: what was returned last, without those that did not answer.
        inherited: where Envoy sent requests before this agent began.

    """
    found = {}
    for service, model in models.items():
        for endpoint in services.get(service, ()):
            question = question_to(endpoint, model)
            if question is None or endpoint.terminating:
                continue
            if endpoint.ready or question in before or question.address in inherited:
                found[question] = endpoint
    return found


class PodReader:
    """Asks pods over HTTP, each time over a connection of its own: an open one delays their end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def is_ready(self, question: Question) -> bool:
        """Return whether the pod says so, in time."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
            )
        try:
            async with self._session.get(question.url, allow_redirects=False) as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, OSError):  # TimeoutError is one
            return False

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class Doubts:
    """Asks the pods that are in doubt, and remembers which of them were ready."""

    def __init__(
        self,
        ask: Callable[[Question], Awaitable[bool]],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`changed` is called when a pod did not answer."""
        self._ask = ask
        self._changed = changed
        self._sleep = sleep
        self._trusted: dict[Question, Endpoint] = {}
        self._inherited: frozenset[Address] = frozenset()
        self._tasks: dict[Question, asyncio.Task[None]] = {}

    def inherit(self, addresses: Collection[Address]) -> None:
        """Begin with what an Envoy has from an agent before this one: it held ready pods only."""
        self._inherited = frozenset(addresses)

    def settle(
        self, services: Services, models: Mapping[str, str]
    ) -> dict[str, tuple[Endpoint, ...]]:
        """Return the pods of the Services of `models`, each with whether it answers all the same.

        A pod is asked whether or not another one is ready, so that it is known when none is.
        """
        self._trusted = find_trusted(services, models, self._trusted, self._inherited)
        self._inherited = frozenset()
        doubted = {each for each, endpoint in self._trusted.items() if not endpoint.ready}
        self._follow(doubted)

        return {
            service: tuple(
                replace(each, answers=True) if question_to(each, model) in doubted else each
                for each in services.get(service, ())
            )
            for service, model in models.items()
        }

    def _follow(self, doubted: Collection[Question]) -> None:
        for question in self._tasks.keys() - set(doubted):
            self._tasks.pop(question).cancel()
        for question in set(doubted) - self._tasks.keys():
            log.info("pod %s is not ready any more: asking it", question.address[0])
            self._tasks[question] = asyncio.create_task(self._keep_asking(question))

    async def _keep_asking(self, question: Question) -> None:
        while await self._ask(question):
            await self._sleep(PAUSE_SECONDS)

        log.info("pod %s does not answer: it gets no more requests", question.address[0])
        self._trusted.pop(question, None)
        self._changed()

    async def close(self) -> None:
        """Ask nobody any more."""
        self._follow(())
