"""A rollout to look at: states of one ModelDeployment, as the status would have held them."""

import copy
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.cli.recordings import recording

LOOK = timedelta(seconds=30)
WEIGHTS = {0: 10, 16: 25}
"""By look: from here on."""
LOOKS = 34
STABLE_REQUESTS = 900
"""In a look."""
Manifest = dict[str, Any]


def now_to_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def recorded(name: str, *, called: str = "", namespace: str = "vision") -> Manifest:
    """Return a recorded object as if it had been recorded now."""
    found = recording(name)
    delta = now_to_second() - found.now

    def shift(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match[1]) + delta
        return f'"{wire(at)}"'

    text = re.sub(r'"(\d{4}-\d\d-\d\dT[\d:.]+Z)"', shift, json.dumps(found.manifest))
    manifest: Manifest = json.loads(text)
    manifest["metadata"].update(name=called or name, namespace=namespace)
    return manifest


def wire(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rollout_in_progress() -> Iterator[tuple[datetime, Manifest]]:
    """Yield a rollout's states up to now, each with its moment: as good as stable, but for luck."""
    begin = now_to_second() - LOOK * LOOKS
    base = recorded("progressing", called="digits")
    base["spec"]["rollout"]["steps"] = [
        {"weight": 10, "holdSeconds": 300},
        {"weight": 25, "holdSeconds": 300},
        {"weight": 50, "approval": "Required"},
    ]
    rollout = base["status"]["rollout"]
    rollout.update(startedAt=wire(begin - timedelta(seconds=40)), steps=3)
    weight, step, since, counted, beside = 10, 1, begin, 0.0, 0.0

    for look in range(LOOKS + 1):
        at = begin + LOOK * look
        if look in WEIGHTS and look:
            weight, step, since, counted, beside = WEIGHTS[look], step + 1, at, 0.0, 0.0
        counted += STABLE_REQUESTS * weight / (100 - weight)
        beside += STABLE_REQUESTS
        rollout.update(ackedWeight=weight, step=step, stepStartedAt=wire(since))
        base["status"]["candidate"].update(weight=weight, readyReplicas=1)
        base["status"]["stable"]["weight"] = 100 - weight
        for claim in base["status"]["conditions"]:
            claim["message"] = claim["message"].replace("10%", f"{weight}%")
        tell_metrics(rollout["analysis"], look, (since, at), (int(counted), int(beside)))
        yield at, copy.deepcopy(base)


def tell_metrics(
    metrics: list[Manifest], look: int, times: tuple[datetime, datetime], counts: tuple[int, int]
) -> None:
    """Give each metric the numbers of a look: what is rare settles as requests are counted."""
    (since, at), (mine, others) = times, counts
    wave = math.sin(look * 1.7) + math.sin(look * 0.53)
    shares = {
        "errors": (0.0021, 0.0019, 0.0031),
        "latency-p99": (0.0093, 0.0098, 0.0142),
        "client-errors": (0.0004, 0.0005, 0.0009),
    }
    for metric in metrics:
        if "lastCheck" not in metric:
            continue
        metric.update(lastCheck=wire(at), since=wire(since))
        if metric["name"] not in {"latency-rise", "resources"}:
            metric.update(samples=mine, baselineSamples=others)

        if metric["name"] in shares:
            candidate, stable, limit = shares[metric["name"]]
            noise = 1 + 0.35 * wave / math.sqrt(1 + mine / 150)
            metric.update(candidate=candidate * noise, baseline=stable, limit=limit, looks=[])
            bad, worse = round(mine * candidate * noise), round(others * stable)
            metric["message"] = (
                f"{metric['name']} {bad}/{mine:,} ({candidate * noise:.2%}) vs {worse}/{others:,} "
                f"({stable:.2%}) on stable, limit {limit:.2%}"
            )
            metric["verdict"] = "Pass" if mine > STABLE_REQUESTS / 3 else "Inconclusive"
        if metric["name"] == "latency-mean":
            metric.update(candidate=4.58 + 0.16 * wave, baseline=4.47 + 0.05 * wave, looks=[])
            metric["message"] = (
                f"typical latency {4.58 + 0.16 * wave:.4g} ms vs {4.47 + 0.05 * wave:.4g} ms on "
                "stable, limit 5.696 ms"
            )
        if metric["name"] == "traffic":
            metric["message"] = f"the candidate completed {mine:,} of {mine + others:,} requests"


def rejected_by_cases() -> Manifest:
    """Return a version that its golden set kept out."""
    manifest = recorded("rejected-by-golden-set", called="faces")
    message = "46 of 50 cases agree; case 17: output 'scores' argmax 3, expected 8"
    told = json.dumps(manifest["status"]).replace("3 of 50 cases agree", "46 of 50 cases agree")
    manifest["status"] = json.loads(told)
    manifest["status"]["rollout"]["analysis"] = [
        {
            "name": "golden-set",
            "verdict": "Fail",
            "reason": "GoldenSetFailed",
            "message": message,
            "candidate": 0.92,
            "limit": 0.97,
            "samples": 50,
            "role": "Required",
            "disagreements": [
                {
                    "name": name,
                    "text": f"output 'scores' argmax {got}, expected {expected}",
                    "input": f"image [1, 64]: 0, 0, {got}, 13, 9, {expected}, 0, 0, …",
                    "expected": "scores [1, 10]: 0.01, 0, 0.02, 0.11, 0, 0, 0.04, 0.01, …",
                    "got": "scores [1, 10]: 0, 0, 0.03, 0.52, 0, 0, 0.02, 0, …",
                }
                for name, got, expected in (("17", 3, 8), ("23", 3, 8), ("31", 5, 9), ("44", 1, 7))
            ],
        }
    ]
    return manifest
