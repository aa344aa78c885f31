"""Asks the same server by two addresses, in turns, and says how long the answers took.

Runs in a pod, alone: `python sender.py PLAN`. A number of connections ask as fast as they are
answered; both addresses get the same rounds, so what else the machine does meets both.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp

Plan = dict[str, Any]


async def ask(session: aiohttp.ClientSession, url: str, body: bytes, until: float) -> list[float]:
    """Ask until the time is over; return seconds by answer."""
    taken = []
    while (began := time.perf_counter()) < until:
        async with session.post(url, data=body) as answer:
            await answer.read()
            answer.raise_for_status()
        taken.append(time.perf_counter() - began)
    return taken


async def turn(url: str, body: bytes, connections: int, seconds: float) -> list[float]:
    """Ask from several connections at once."""
    limit = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=limit) as session:
        until = time.perf_counter() + seconds
        answers = await asyncio.gather(
            *(ask(session, url, body, until) for _ in range(connections))
        )
    return [seconds for each in answers for seconds in each]


async def measure(plan: Plan) -> list[dict[str, float | str]]:
    """Return a row for each address and number of connections: medians over the rounds."""
    body = json.dumps(plan["request"]).encode()
    found: defaultdict[tuple[str, int], list[list[float]]] = defaultdict(list)

    for _ in range(plan["rounds"]):
        for connections in plan["connections"]:
            for name, url in plan["urls"].items():
                taken = sorted(await turn(url, body, connections, plan["seconds"]))
                found[name, connections].append(
                    [
                        taken[len(taken) // 2] * 1000,
                        taken[len(taken) * 99 // 100] * 1000,
                        len(taken) / plan["seconds"],
                    ]
                )

    return [
        {
            "name": name,
            "connections": connections,
            **dict(
                zip(
                    ("p50_millis", "p99_millis", "per_second"),
                    map(statistics.median, zip(*rounds, strict=True)),
                    strict=True,
                )
            ),
        }
        for (name, connections), rounds in found.items()
    ]


if __name__ == "__main__":
    read: Plan = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(asyncio.run(measure(read))))
