"""Many ModelDeployments at once: the time until all have their objects, and the writes for it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tests.bench.apiserver import ApiServer, cpu_seconds
from tests.bench.asked import MODELS, Asked
from tests.bench.people import People
from tests.bench.table import Figure
from tests.bench.writes import AGENT, Write, WriteLog, count_by_resource
from tests.cluster.progress import say

NAMESPACES = 10
QUIET_SECONDS = 3.0
LATE_SECONDS = 15.0
"""Without a write, while something is still missing."""
MOST_SECONDS = 300.0
MADE = frozenset({"create", "patch"})
UNHEARD = 504
"""Nobody waited for the answer, where the machine is busy. The object was made, unless it is made
again later."""


@dataclass(frozen=True, slots=True)
class Burst:
    """The outcome of many ModelDeployments that were created at once."""

    number: int
    seconds: float
    """From the first request until the last child was made."""
    until: int
    """Writes until then."""
    writes: int
    """Until the writes stopped."""
    operator: float
    """Its processor time, in seconds."""
    server: float
    """That of the API server and etcd."""


async def measure_burst(
    people: People,
    server: ApiServer,
    pid: int,
    number: int,
    *,
    prefix: str,
    asked: Asked = MODELS,
    agent: str = AGENT,
) -> Burst:
    """Create `number` objects in a few namespaces; no pod ever starts.

    `pid` and `agent` are the operator's.
    """
    log = WriteLog(server.audit_log, agent)
    spaces = [f"{prefix}-{n}" for n in range(NAMESPACES)]
    for space in spaces:
        await people.namespace(space)
    log.new()

    used, served = cpu_seconds(pid), server.cpu_seconds()
    began = datetime.now().astimezone()
    places = ((spaces[n % NAMESPACES], f"model-{n}") for n in range(number))
    await people.create_all(places, asked)
    sent = datetime.now().astimezone()
    say(f"  {number} created in {(sent - began).total_seconds():.1f} s; waiting for the operator")

    writes = await log.until_quiet(QUIET_SECONDS, MOST_SECONDS)
    while lacking := _find_lacking(writes, number, asked.children):
        # where the machine is busy, what failed may be tried again only now
        say(f"  still waiting: {lacking}")
        more = await log.until_quiet(LATE_SECONDS, MOST_SECONDS)
        if not more:
            raise RuntimeError(lacking)
        writes += more
    used, served = cpu_seconds(pid) - used, server.cpu_seconds() - served
    say(f"  the API server and etcd took {1000 * served / number:.1f} ms each")

    ended, until = _find_completion(writes, asked.children)
    for what, count in count_by_resource(writes).most_common():
        say(f"    {count / number:6.2f} each: {what}")
    return Burst(number, (ended - began).total_seconds(), until, len(writes), used, served)


def burst_figures(bare: Burst, ours: Burst) -> list[Figure]:
    """Return Slipway's figures, next to those of the bare handler."""
    number = ours.number
    least = f"a bare kopf handler, now: {bare.seconds * number / bare.number:.1f} s with "
    least += f"{bare.until / bare.number:.0f} writes; Argo Rollouts 51 s (1,000)"

    return [
        Figure(
            f"{number:,} created at once -> all have their objects",
            ours.seconds,
            "s",
            25 * number / 1000,
            least,
        ),
        Figure("  writes each until then", ours.until / number, "", 8),
        Figure("  processor time of the operator, each", 1000 * ours.operator / number, "ms"),
        Figure("  writes each until quiet", ours.writes / number, "", 8, "Argo Rollouts 7.2"),
    ]


def _find_lacking(writes: list[Write], number: int, children: Mapping[str, int]) -> str:
    """Return which children are not made yet; empty: all are."""
    made = Counter(resource for resource, _, _ in _find_made(writes, children))
    return ", ".join(
        f"{made[resource]} of {each * number} {resource}"
        for resource, each in children.items()
        if made[resource] < each * number
    )


def _find_completion(writes: list[Write], children: Mapping[str, int]) -> tuple[datetime, int]:
    """Return when the last child was made, and how many writes that took."""
    ended = max(_find_made(writes, children).values())
    return ended, sum(write.began <= ended for write in writes)


def _find_made(
    writes: list[Write], children: Mapping[str, int]
) -> dict[tuple[str, str, str], datetime]:
    """Return when each child was made, by resource, namespace and name."""
    made: dict[tuple[str, str, str], datetime] = {}
    unheard: dict[tuple[str, str, str], datetime] = {}
    for number, write in enumerate(writes):
        # a create whose answer nobody heard has no name in the record
        place = (write.resource, write.namespace, write.name or f"create {number}")
        if write.resource in children and write.verb in MADE:
            if write.code in (200, 201):
                made.setdefault(place, write.ended)
            elif write.code == UNHEARD:
                unheard[place] = write.ended
    return unheard | made
