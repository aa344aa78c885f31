"""Follows ModelDeployments: each change as kubectl tells it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from slipway.cli.complaints import NotFound
from slipway.cli.kubectl import Watch
from slipway.cli.objects import ModelDeployment
from slipway.cli.read import Manifest, read
from slipway.cli.session import Session


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; `md` is as it was last where it is gone."""

    md: ModelDeployment
    gone: bool = False


def changes(
    session: Session,
    name: str | None,
    *,
    namespace: str = "",
    everywhere: bool = False,
    seconds: float | None = None,
    tick: float | None = None,
) -> Iterator[Change | None]:
    """Yield every change, and None at every tick; ends after so many seconds.

    Raises:
        Problem: kubectl failed, or there is none of that name.

    """
    words = [name] if name is not None else []
    words += ["-A"] if everywhere else []
    end = None if seconds is None else time.monotonic() + seconds
    with Watch(session.kubectl, *words, namespace=namespace) as watch:
        while (left := _left(end, tick)) > 0:
            try:
                event = watch.next(left)
            except NotFound as error:
                raise session.unknown(name or "", error) from error
            if event is not None:
                yield _change(event)
            elif tick is not None:
                yield None


def _left(end: float | None, tick: float | None) -> float:
    """Return how long the next look may take."""
    left = 3600.0 if end is None else end - time.monotonic()
    return min(left, tick) if tick is not None else left


def _change(event: Manifest) -> Change:
    found = event.get("object")
    manifest = found if isinstance(found, dict) else {}
    return Change(md=read(manifest), gone=event.get("type") == "DELETED")
