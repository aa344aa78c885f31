"""Where clients send requests, and how many replicas answer them."""

from slipway.cli.objects import ModelDeployment, Replicas, Scaling
from slipway.cli.text import Screen, line, wrapped

INDENT = 11


def serving(md: ModelDeployment, width: int) -> Screen:
    """Return where clients send requests, and how many replicas answer; an address is whole."""
    rows = [
        line("  clients".ljust(INDENT) if number == 0 else " " * INDENT, text)
        for number, text in enumerate(_addresses(md))
    ]
    for number, text in enumerate(_sizes(md)):
        rows += wrapped(text, width, indent=INDENT, first="" if number else "  scaling")
    return tuple(rows)


def _addresses(md: ModelDeployment) -> list[str]:
    words = {"http": "{}", "grpc": "{} (gRPC)", "candidate": "the candidate alone: {}"}
    return [words.get(kind, "{}").format(where) for kind, where in md.endpoints.items()]


def _sizes(md: ModelDeployment) -> list[str]:
    """Return what the engine says of each revision; where none does, what the spec asks for."""
    said = [
        f"{role} {found.version}: {_sized(found.scaling)}"
        for role, found in (("stable", md.stable), ("candidate", md.candidate))
        if found is not None and found.scaling is not None
    ]
    return said or [_asked(md.replicas)]


def _asked(asked: Replicas) -> str:
    least, most = asked.min_replicas, asked.max_replicas or 0
    if asked.engine == "None":
        return f"{_counted(asked.replicas or least)} asked for, somebody else scales (engine None)"
    if most > least:
        return f"{least} to {_counted(most)}, engine {asked.engine}"
    return f"{_counted(least)} for all of the traffic, fixed by the spec"


def _counted(number: int) -> str:
    return f"{number} replica" + ("" if number == 1 else "s")


def _sized(scaling: Scaling) -> str:
    """Return desired, current and why: signal, value, target, bound by what."""
    text = f"{scaling.current} of {scaling.desired} replicas"
    if scaling.signal and scaling.value is not None and scaling.target is not None:
        text += f", {scaling.signal} {scaling.value:.4g}, target {scaling.target:.4g} per replica"
    text += f", bound by {scaling.bound_by}" if scaling.bound_by else ""
    return text + (f": {scaling.message}" if scaling.message else "")
