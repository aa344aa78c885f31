"""Follows objects by name, and reports as well what vanished while nothing was heard."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.follow import Collections, Follower
from slipway.errors import SlipwayError


class NameFollower:
    """Reports every object of one namespace, and the name of every one that is gone."""

    def __init__(
        self,
        collections: Collections,
        kind: Kind,
        *,
        put: Callable[[Manifest], None],
        remove: Callable[[str], None],
        fail: Callable[[SlipwayError], None] = lambda _: None,
    ) -> None:
        self._put = put
        self._remove = remove
        self._known: set[str] = set()
        follower = Follower(
            collections,
            kind,
            put=self._put_known,
            remove=self._remove_known,
            on_listed=self._remove_unlisted,
            fail=fail,
        )
        self.run = follower.run
        self.listed = follower.listed

    def _put_known(self, manifest: Manifest) -> None:
        self._known.add(manifest["metadata"]["name"])
        self._put(manifest)

    def _remove_known(self, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        self._known.discard(name)
        self._remove(name)

    def _remove_unlisted(self, names: AbstractSet[str]) -> None:
        for name in self._known - names:
            self._known.discard(name)
            self._remove(name)
