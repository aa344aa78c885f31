"""The five versions, what should become of each, and the ModelDeployment that asks for it."""

from dataclasses import dataclass

from slipway.api.modeldeployment import Outcome, ShadowMode
from slipway.api.names import API_VERSION

from tests.kubectl import Manifest
from tests.models import server
from tests.models.golden import MIN_AGREEMENT
from tests.models.samples import GOLDEN, SMALL_GOLDEN

NAMESPACE = "slipway-demo"
NAME = "digits"
TOLERANCE = 0.05
"""Ratio. Where cluster, clients and builds share two cores, a pause of the machine makes a few of
fifty requests slow now and then; the default of 0.002 is for servers that have theirs."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the model."""

    version: str
    file: str
    """Name of the sample."""
    what: str
    """For people."""
    expected: Outcome
    golden_set: str = GOLDEN
    shadow: ShadowMode = ShadowMode.OFF
    """On: it answers copies of requests before it gets any."""


VERSIONS = (
    Version("1", "digits-1.onnx", "a logistic regression", Outcome.PROMOTED),
    Version("2", "digits-2.onnx", "a small neural network, which reads more", Outcome.PROMOTED),
    Version(
        "3",
        "digits-3.onnx",
        "the same network, trained on labels that got mixed up",
        Outcome.REJECTED_BY_GOLDEN_SET,
    ),
    Version(
        "4",
        "digits-4.tar.gz",
        "version 2 in Python, slow on faint scans and failing on some of them",
        Outcome.ROLLED_BACK,
    ),
    Version(
        "5",
        "filtered.onnx",
        "version 2 behind a filter against noise, which takes faint scans for noise",
        Outcome.REJECTED_BY_SHADOW,
        golden_set=SMALL_GOLDEN,
        shadow=ShadowMode.ON,
    ),
)


def render_model_deployment(version: Version) -> Manifest:
    """Return the whole object; from version to version only the model changes, and
    that the fifth answers copies first."""
    model = {
        "version": version.version,
        "source": {"uri": server.uri(NAMESPACE, version.file)},
        "config": {
            "maxBatchSize": 8,
            "dynamicBatching": {"maxQueueDelayMicroseconds": 500},
        },
        "goldenSet": {
            "uri": server.uri(NAMESPACE, version.golden_set),
            "minAgreement": MIN_AGREEMENT,
        },
        "warmup": {"requests": 50},
    }
    analysis = {
        "intervalSeconds": 1,
        "minSamples": 50,
        "warmUpSeconds": 5,
        "tolerance": {"absolute": TOLERANCE},
    }

    return {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "model": model,
            "packaging": {"mode": "Image"},
            "rollout": {
                "steps": [{"weight": weight, "holdSeconds": 5} for weight in (5, 25, 50)],
                "bakeSeconds": 10,
                "shadow": {"mode": version.shadow.value},
                "analysis": analysis,
            },
        },
    }
