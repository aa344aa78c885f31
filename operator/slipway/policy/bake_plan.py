"""The weights of a bake.

There are two of them where it is long enough. The smaller arm bounds how fast a fault is found, so
most of the bake leaves stable a fifth; the end of it leaves what the spec says, because some faults
come with the last of the load. The command line imports this, so it imports nothing heavy.
"""

LARGE_CONTROL_PERCENT = 20
"""Of the requests, on stable in the first part of the bake."""
LARGE_CONTROL_SHARE = 0.8
"""Of the bake's time, its first part."""
SPLIT_FROM_SECONDS = 120
"""A bake that is shorter has one part: there is little that it could find."""


def plan_bake(highest_step: int, seconds: int, control: int) -> tuple[tuple[int, int], ...]:
    """Return the weights of the bake, and for how many seconds each is held at least.

    Without control there is one, and an alarm gives a share back (`rollout.bake_alarm`).
    """
    whole = (100 - control, seconds)
    large = 100 - LARGE_CONTROL_PERCENT
    is_small = 0 < control < LARGE_CONTROL_PERCENT
    if not is_small or seconds < SPLIT_FROM_SECONDS or highest_step >= large:
        return (whole,)
    first = round(LARGE_CONTROL_SHARE * seconds)
    return ((large, first), (100 - control, seconds - first))
