"""Whether the candidate's replicas find room, in words."""

from slipway.api.modeldeployment import Capacity, Rollout
from slipway.cli.kubectl import Manifest
from slipway.cli.room import Room
from slipway.cli.text import Screen, Style, wrap_lines
from slipway.cli.wire import dump

FOLLOWS = {
    Capacity.SURGE: "the rollout would wait for room; with rollout.capacity Auto or Swap replicas "
    "are swapped one at a time",
    Capacity.AUTO: "replicas would be swapped one at a time",
    Capacity.SWAP: "replicas are swapped one at a time",
}


def format_room(room: Room | None, rollout: Rollout, *, width: int) -> Screen:
    """Return whether there is room, what follows where there is none, and what is not known."""
    if room is None:
        return ()
    lines: Screen = ()
    if room.wanted:
        fits = room.fits >= room.wanted
        follows = "" if fits else f"; {FOLLOWS[rollout.capacity]}"
        style = Style.GOOD if fits else Style.BAD
        lines = wrap_lines(f"{room.sentence}{follows}", width, indent=0, style=style)
        lines = (*lines, *wrap_lines(f"without {room.left_out}", width, indent=0, style=Style.DIM))
    for what in room.unread:
        text = f"whether replicas find room was told without {what}"
        lines = (*lines, *wrap_lines(text, width, indent=0, style=Style.DIM))
    return lines


def room_json(room: Room | None) -> Manifest | None:
    """Return the stable JSON form."""
    if room is None:
        return None
    return {**dump(room), "message": room.sentence if room.wanted else ""}
