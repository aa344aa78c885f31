"""Follows ModelDeployments: each change as kubectl tells it, also across a lost connection."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from slipway.cli.complaints import NotFound
from slipway.cli.kubectl import RESOURCE
from slipway.cli.objects import ModelDeployment
from slipway.cli.patience import Lost, Patience
from slipway.cli.problems import Problem
from slipway.cli.read import Manifest, read
from slipway.cli.session import Session
from slipway.cli.watching import Watch

RESYNC_TIMEOUT = "--request-timeout=5s"
"""Of the list after a lost connection: the screen stands still meanwhile."""
Known = dict[tuple[str, str], ModelDeployment]


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; `md` is as it was last where it is gone."""

    md: ModelDeployment
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """Which ModelDeployments are followed."""

    name: str | None = None
    namespace: str = ""
    everywhere: bool = False
    selector: str = ""

    @property
    def words(self) -> Sequence[str]:
        """For kubectl."""
        words = [self.name] if self.name is not None else []
        words += ["-A"] if self.everywhere else []
        return [*words, *([f"--selector={self.selector}"] if self.selector else [])]


def changes(
    session: Session,
    scope: Scope,
    patience: Patience,
    *,
    seconds: float | None = None,
    tick: float | None = None,
) -> Generator[Change | Lost | None]:
    """Yield every change, None at every tick, and Lost while there is no connection.

    It ends after so many seconds, and with the one that was named.

    Raises:
        Problem: kubectl failed in a way that does not pass, or there is none of that name.

    """
    end = None if seconds is None else time.monotonic() + seconds
    known: Known = {}
    told: Lost | None = None
    watch = Watch(session.kubectl, *scope.words, namespace=scope.namespace, patience=patience)
    with watch:
        starts = watch.starts
        while (left := _left(end, tick)) > 0:
            try:
                event = watch.next(left)
            except NotFound as error:
                if not known:
                    raise session.unknown(scope.name or "", error) from error
                yield from [Change(md, gone=True) for md in known.values()]
                return
            if watch.starts != starts:
                starts = watch.starts
                yield from _vanished(session, scope, watch, patience, known)
            if event is not None and event.get("type") != "ERROR":
                change = _change(event, known)
                yield change
                if change.gone and scope.name is not None:
                    return
            elif tick is not None or patience.lost not in {None, told}:
                yield patience.lost
            told = patience.lost


def _vanished(
    session: Session, scope: Scope, watch: Watch, patience: Patience, known: Known
) -> Iterator[Change]:
    """Yield what was deleted while nobody watched; a name of its own is told by the watch."""
    if scope.name is not None:
        return
    words = ("get", RESOURCE, *scope.words, RESYNC_TIMEOUT)
    try:
        listed = session.kubectl.json(*words, namespace=scope.namespace)
    except Problem as problem:
        watch.again(problem)
        return
    patience.heard()
    found = [read(item) for item in listed.get("items", ())]
    for key in known.keys() - {(md.namespace, md.name) for md in found}:
        yield Change(known.pop(key), gone=True)


def _left(end: float | None, tick: float | None) -> float:
    """Return how long the next look may take."""
    left = 3600.0 if end is None else end - time.monotonic()
    return min(left, tick) if tick is not None else left


def _change(event: Manifest, known: Known) -> Change:
    found = event.get("object")
    md = read(found if isinstance(found, dict) else {})
    gone = event.get("type") == "DELETED"
    known[md.namespace, md.name] = md
    if gone:
        del known[md.namespace, md.name]
    return Change(md=md, gone=gone)
