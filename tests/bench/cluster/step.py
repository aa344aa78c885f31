"""From four times the load to the right number of replicas asked for."""

import statistics
from datetime import datetime

from slipway.api.modeldeployment import ScalingStatus

from tests.bench.cluster.scene import Scene, a_model
from tests.bench.table import Figure
from tests.cluster.progress import say
from tests.e2e.deployed import Deployed
from tests.kubectl import until

NAME = "scaled"
RATE = 4.0
"""Requests per second; one replica of the sample answers ten, one after the other."""
RIGHT = 2
SCALING = {"maxReplicas": 3, "downSeconds": 20, "target": {"concurrency": 2}}


def scaling_status(deployed: Deployed) -> ScalingStatus:
    """Return what status says of stable's replicas."""
    stable = deployed.status.stable
    assert stable is not None
    assert stable.scaling is not None
    return stable.scaling


def measure_steps(scene: Scene, times: int) -> list[Figure]:
    """Step up, and wait until it is over, again and again."""
    found = []
    model = a_model(NAME, "1", "slow.tar.gz", scaling=SCALING)

    with scene.serving(model) as deployed, scene.load(NAME, RATE):
        for number in range(times):
            until(lambda: scaling_status(deployed).desired == 1, "one replica", 180)
            with scene.load(NAME, 3 * RATE, name="load-step") as more:
                until(lambda: scaling_status(deployed).desired >= RIGHT, "enough replicas", 60)
                at = scaling_status(deployed).at
                assert at is not None
                began = min(record.t for record in more.records())
                found.append(datetime.fromisoformat(at).timestamp() - began)
            say(f"step {number + 1} of {times}: {found[-1]:.1f} s")

    return [
        Figure("4x load step -> right replicas asked for, median", statistics.median(found), "s"),
        Figure(
            f"  the slowest of {times}",
            max(found),
            "s",
            target=4.0,
            others="Prometheus and HPA 58 s",
        ),
    ]
