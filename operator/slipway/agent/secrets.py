"""The Secrets and ConfigMaps that routes name, each by a watch of its own, as their Role allows."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from slipway.agent.api_server import ApiServerClient
from slipway.agent.follow import NameFollower
from slipway.api.base import Manifest
from slipway.api.kinds import CONFIG_MAP, SECRET, Kind
from slipway.api.reasons import Reason, Why
from slipway.errors import Forbidden, SlipwayError

_REASONS = {
    SECRET.kind: (Reason.SECRET_NOT_FOUND, Reason.SECRET_UNREADABLE),
    CONFIG_MAP.kind: (Reason.CONFIG_MAP_NOT_FOUND, Reason.CONFIG_MAP_UNREADABLE),
}
"""Of each kind: it does not exist, and it cannot be read."""


@dataclass(frozen=True, slots=True)
class SecretContent:
    """What is known of a Secret, or of a ConfigMap."""

    is_known: bool = False
    """The API server has answered, with whatever."""
    data: Mapping[str, bytes] | None = field(default=None, repr=False)
    """None: there is no such Secret, or it cannot be read."""
    problem: str | None = None
    """Why it cannot be read now; `data` is then what was read before."""
    is_forbidden: bool = False

    def describe(self, name: str, kind: Kind = SECRET) -> Why:
        """Return why there is nothing to read, or nothing newer."""
        missing, unreadable = _REASONS[kind.kind]
        if self.is_forbidden:
            return Why(
                unreadable,
                f"{kind.kind} {name}: the ServiceAccount slipway-router may not list and watch it",
            )
        if self.problem is not None:
            return Why(unreadable, f"{kind.kind} {name}: {self.problem}")
        return Why(missing, f"{kind.kind} {name} does not exist")


class Secrets:
    """Follows Secrets, or ConfigMaps, for as long as some route names them."""

    def __init__(
        self, api_server: ApiServerClient, changed: Callable[[], None], kind: Kind = SECRET
    ) -> None:
        """`changed` is called whenever more or something else is known."""
        self._api_server = api_server
        self._kind = kind
        self._changed = changed
        self._found: dict[str, SecretContent] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def follow(self, names: Collection[str]) -> None:
        """Follow these and no others."""
        for name in self._tasks.keys() - set(names):
            self._tasks.pop(name).cancel()
            del self._found[name]

        for name in set(names) - self._tasks.keys():
            self._found[name] = SecretContent()
            self._tasks[name] = asyncio.create_task(self._follow(name))

    def get(self, name: str) -> SecretContent:
        """Return what is known of a Secret that is followed."""
        return self._found[name]

    async def close(self) -> None:
        """Follow none any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, name: str) -> None:
        def put(manifest: Manifest) -> None:
            self._set(name, SecretContent(is_known=True, data=self._decode(manifest)))

        def remove(_: str) -> None:
            self._set(name, SecretContent(is_known=True))

        def fail(error: SlipwayError) -> None:
            known, is_forbidden = self._found[name], isinstance(error, Forbidden)
            if known.is_known and known.problem is None and not is_forbidden:
                return  # an outage: what was known still holds
            problem = replace(known, is_known=True, problem=str(error), is_forbidden=is_forbidden)
            self._set(name, problem)

        client = self._api_server.only(name)
        follower = NameFollower(client, self._kind, put=put, remove=remove, fail=fail)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follower.run())
                await follower.listed.wait()
                if not self._found[name].is_known or self._found[name].problem:
                    remove(name)  # a list without it is an answer too
        finally:
            await client.close()

    def _set(self, name: str, content: SecretContent) -> None:
        if self._found.get(name) != content:
            self._found[name] = content
            self._changed()

    def _decode(self, manifest: Manifest) -> Mapping[str, bytes]:
        """Return the values; of a ConfigMap's those that are text."""
        data = manifest.get("data") or {}
        if self._kind is CONFIG_MAP:
            return {key: text.encode() for key, text in data.items()}
        return _decode_base64(data)


def _decode_base64(data: Mapping[str, str]) -> Mapping[str, bytes]:
    """Return the values; one that is no base64 cannot come from an API server, and is left out."""
    found = {}
    for key, text in data.items():
        try:
            found[key] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
    return found
