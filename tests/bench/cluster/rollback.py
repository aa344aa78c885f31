"""From the decision to roll back, as status says it, to weight 0 at every proxy."""

import statistics

from slipway.api.modeldeployment import Outcome

from tests.bench.cluster.scene import Scene, a_model
from tests.bench.table import Figure
from tests.cluster.progress import say
from tests.e2e.objects import step

NAME = "faulty"
RATE = 60.0
SECONDS = 120.0


def measure_rollbacks(scene: Scene, times: int) -> list[Figure]:
    """Roll out a failing version again and again."""
    sound = a_model(NAME, "1", "sound.tar.gz")
    with scene.serving(sound) as deployed, scene.load(NAME, RATE):
        for number in range(times):
            version = f"2.{number}"
            deployed.apply(a_model(NAME, version, "failing.tar.gz", steps=[step(50)], strict=True))
            ended = deployed.wait_for_end(version, SECONDS)
            if ended.outcome is not Outcome.ROLLED_BACK:
                raise RuntimeError(f"version {version} fails, yet ended as {ended.outcome}")
            say(f"roll back {number + 1} of {times}: {ended.reason[:100]}")
    found = sorted(scene.figures.decision_to_zero_seconds.values())
    return [
        Figure("decision -> weight 0 at all proxies, median", statistics.median(found), "s"),
        Figure(f"  the slowest of {len(found)}", found[-1], "s", target=1.0),
    ]
