"""The table of a soak, and what there is to say about everything slow, lost or wrong."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from slipway.api.modeldeployment import Outcome

from tests.bench.table import Figure, format_table
from tests.soak.tally import Lost, Tally, WayBack

SLOW_SECONDS = 1.0
LONGEST_LIST = 10
NEAR_SECONDS = 2.0
"""A disturbance that is so near to a lost request is named beside it."""


def render(tally: Tally) -> str:
    """Return table and explanations as text."""
    return "\n".join([*format_table(make_table(tally)), *explain(tally)])


def is_sound(tally: Tally) -> bool:
    """Tell whether nothing was lost and nothing ended otherwise than it had to."""
    return all(figure.is_met is not False for figure in make_table(tally))


def make_table(tally: Tally) -> list[Figure]:
    """Return the figures of a soak."""
    return [
        *_versions(tally),
        *_requests(tally),
        *_ways_back(tally),
        *_conditions(tally),
    ]


def _versions(tally: Tally) -> Iterator[Figure]:
    for outcome, what in ((Outcome.PROMOTED, "promotions"), (Outcome.ROLLED_BACK, "roll backs")):
        times = sorted(
            each.seconds for each in tally.ended if each.expected is outcome and not each.is_wrong
        )
        if times:
            yield Figure(what, len(times), "")
            yield Figure("  median, from the apply on", _middle(times), "s")
            yield Figure("  the slowest", times[-1], "s")
    wrong = sum(each.is_wrong for each in tally.ended)
    yield Figure("versions that ended otherwise than they had to", wrong, "", 0)


def _requests(tally: Tally) -> Iterator[Figure]:
    yield Figure("requests", tally.total.sent, "")
    for wire, total in tally.totals.items():
        yield Figure(f"{wire} requests", total.sent, "")
        yield Figure("  failed by the bad version itself", total.failed_by_model, "")
        yield Figure("  lost", total.lost, "", 0)


def _ways_back(tally: Tally) -> Iterator[Figure]:
    timed = [(way, way.seconds) for way in tally.backs if way.seconds is not None]
    calm = sorted(seconds for way, seconds in timed if not _disturbances(tally, way))
    disturbed = sorted(seconds for way, seconds in timed if _disturbances(tally, way))
    known = sorted(way.known_seconds for way in tally.backs if way.known_seconds is not None)
    measured = sorted(
        way.measured_seconds for way in tally.backs if way.measured_seconds is not None
    )
    for what, times in (
        ("decision -> weight 0 at all proxies, undisturbed", calm),
        ("decision -> weight 0 at all proxies, disturbed", disturbed),
        ("decision -> the operator knows it", known),
        ("decision -> last request sent that the bad version got", measured),
    ):
        if times:
            yield Figure(what, len(times), "times")
            yield Figure("  median", _middle(times), "s")
            yield Figure("  nine of ten within", times[(len(times) * 9 - 1) // 10], "s")
            yield Figure("  the slowest", times[-1], "s")


def _conditions(tally: Tally) -> Iterator[Figure]:
    for kind in sorted({event.what for event in tally.events}):
        yield Figure(kind, sum(event.what == kind for event in tally.events), "times")
    yield Figure("models side by side", tally.models, "")
    yield Figure("time that it took", tally.seconds / 60, "min")
    if tally.load_averages:
        yield Figure("load average of the machine, median", _middle(tally.load_averages), "")


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _disturbances(tally: Tally, way: WayBack) -> list[tuple[str, float]]:
    """Return what went on during a way back, and when it began: seconds from the decision on."""
    during = tally.during(way.decided - 1, way.known or way.decided)
    return [(event.what, event.began - way.decided) for event in during]


def explain(tally: Tally) -> list[str]:
    """Say what went on during the slowest ways back, what was lost, and what ended wrong."""
    slow = sorted(
        (way for way in tally.backs if (way.known_seconds or 0) > SLOW_SECONDS),
        key=lambda way: -(way.known_seconds or 0),
    )
    lines = [f"{len(slow)} ways back were known after more than {SLOW_SECONDS:g} s; the slowest:"]
    lines += [_describe_way_back(tally, way) for way in slow[:LONGEST_LIST]]
    lines += [
        f"  {each.model} {each.version} had to be {each.expected}, was {each.outcome or 'no end'}:"
        f" {each.reason}"
        for each in tally.ended
        if each.is_wrong
    ]
    lines += [_describe_lost(tally, each) for each in tally.lost]
    return lines


def _describe_way_back(tally: Tally, way: WayBack) -> str:
    moments = [("stored", way.stored), ("route written", way.written)]
    moments += [
        (f"proxy {name}", at)
        for name, at in sorted(way.acknowledged.items())
        if way.known is None or at <= way.known  # a later one never had any weight of it
    ]
    moments += [("back", way.restored)]
    moments += [(f"last {wire} request", at) for wire, at in way.last_sent.items()]
    said = ", ".join(f"{what} {_after(way, at)}" for what, at in moments)
    during = ", ".join(f"{what} at {at:+.1f} s" for what, at in _disturbances(tally, way))
    return (
        f"  {way.known_seconds:.2f} s: {way.model} {way.revision}, decided {_clock(way.decided)} "
        f"({way.trigger}): {said}; during it: {during or 'no disturbance'}"
    )


def _after(way: WayBack, at: float | None) -> str:
    return "never" if at is None else f"{at - way.decided:+.2f}"


def _describe_lost(tally: Tally, lost: Lost) -> str:
    near = tally.during(lost.at - NEAR_SECONDS, lost.at + 1 + NEAR_SECONDS)
    causes = "; ".join(f"{count} times '{cause}'" for cause, count in lost.causes.items())
    during = ", ".join(f"{event.what} at {event.began - lost.at:+.1f} s" for event in near)
    return f"  lost at {_clock(lost.at)}, {lost.model} {lost.wire}: {causes}; near: {during or '-'}"


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S.%f")[:-3]
