"""Changes of ModelDeployments, one by one, also across a lost connection."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import RESOURCE, Manifest
from slipway.cli.kubectl_errors import NotFound
from slipway.cli.kubectl_watch import KubectlWatch
from slipway.cli.objects import ModelDeployment, parse_model_deployment
from slipway.cli.reconnect import Disconnected, Reconnect
from slipway.cli.session import Session

RESYNC_TIMEOUT = "--request-timeout=5s"
"""Of the list after a lost connection: the screen stands still meanwhile."""
Known = dict[tuple[str, str], ModelDeployment]


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; `md` is the last state where it was deleted."""

    md: ModelDeployment
    deleted: bool = False


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


def follow_changes(
    session: Session,
    scope: Scope,
    reconnect: Reconnect,
    *,
    seconds: float | None = None,
    tick: float | None = None,
) -> Generator[Change | Disconnected | None]:
    """Yield every change, None at every tick, and Disconnected while there is no connection.

    It ends after so many seconds, and with the object that was named.

    Raises:
        CliError: kubectl failed for good, or nothing has that name.

    """
    end = None if seconds is None else time.monotonic() + seconds
    known: Known = {}
    reported: Disconnected | None = None
    watch = KubectlWatch(
        session.kubectl, *scope.words, namespace=scope.namespace, reconnect=reconnect
    )

    with watch:
        starts = watch.starts
        while (left := _seconds_left(end, tick)) > 0:
            try:
                event = watch.next_event(left)
            except NotFound as error:
                if not known:
                    raise session.explain_not_found(scope.name or "", error) from error
                yield from [Change(md, deleted=True) for md in known.values()]
                return

            # before the event: a new watch begins with what exists, not with what was deleted
            if watch.starts != starts:
                starts = watch.starts
                yield from _deleted_meanwhile(session, scope, watch, reconnect, known)

            if event is not None and event.get("type") != "ERROR":
                change = _apply_event(event, known)
                yield change
                if change.deleted and scope.name is not None:
                    return
            elif tick is not None or reconnect.outage not in {None, reported}:
                yield reconnect.outage
            reported = reconnect.outage


def _deleted_meanwhile(
    session: Session, scope: Scope, watch: KubectlWatch, reconnect: Reconnect, known: Known
) -> Iterator[Change]:
    """Yield what was deleted between two watches; of a single name the watch itself tells."""
    if scope.name is not None:
        return

    words = ("get", RESOURCE, *scope.words, RESYNC_TIMEOUT)
    try:
        listed = session.kubectl.json(*words, namespace=scope.namespace)
    except CliError as error:
        watch.restart_after(error)
        return
    reconnect.note_success()

    found = [parse_model_deployment(item) for item in listed.get("items", ())]
    for key in known.keys() - {(md.namespace, md.name) for md in found}:
        yield Change(known.pop(key), deleted=True)


def _seconds_left(end: float | None, tick: float | None) -> float:
    """Return how long the next event may take."""
    left = 3600.0 if end is None else end - time.monotonic()
    return min(left, tick) if tick is not None else left


def _apply_event(event: Manifest, known: Known) -> Change:
    found = event.get("object")
    md = parse_model_deployment(found if isinstance(found, dict) else {})
    is_deleted = event.get("type") == "DELETED"
    known[md.namespace, md.name] = md
    if is_deleted:
        del known[md.namespace, md.name]
    return Change(md=md, deleted=is_deleted)
