"""The catalogue: every sample by the name of the file that a ModelDeployment fetches."""

import io
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.archives import tar_gz
from tests.models.digits import Images, as_in_production, load_split
from tests.models.golden import golden_set
from tests.models.networks import (
    Network,
    export,
    shuffled,
    train_network,
    train_regression,
)

GOLDEN = "golden.tar.gz"
SMALL_GOLDEN = "golden-small.tar.gz"
SMALL_CASES = 30
NOISE = 0.3
"""What the filter of version 5 takes from every pixel; a faint scan has nothing brighter than
0.375."""
SCANNER = Path(__file__).parent / "scanner"
PIPELINE = Path(__file__).parent / "pipeline"
PATIENT = Path(__file__).parent / "patient"

FAULT_MARKER = "SLIPWAY-DEMO-FAULT"
"""Stands in every error that a sample model makes on purpose; the same text as in scanner."""


AFTER_WARM_UP = 5.0
LATE_SECONDS = 180.0
"""After loading, from when on the sample that fails late does."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong in a Python model; the defaults are a sound one."""

    faint_seconds: float = 0.0
    """Extra time for a faint scan: one in four in production, none in the golden set."""
    faint_errors: bool = False
    """Whether about two of three faint scans are answered with an error."""
    request_seconds: float = 0.0
    """Extra time for every request."""
    crash_after: int = 0
    """Requests after which the server dies; 0: never."""
    poison: bool = False
    """Whether a scan with a pixel below zero, which none has, kills the server."""
    error_every: int = 0
    """One of so many requests is answered with an error; 0: none."""
    errors_from_seconds: float = 0.0
    """Time after loading from which those errors begin."""
    wrong_every: int = 0
    """One of so many requests is answered with other classes, and without an error; 0: none."""
    white_errors: bool = False
    """Whether a white scan, which none is, is answered with an error."""
    hang_after: int = 0
    """Requests after which none is answered any more; 0: never."""
    start_seconds: float = 0.0
    """Extra time for loading."""
    start_error: str = ""
    """Why loading fails; empty: it does not."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Files to serve, and images to send."""

    files: dict[str, bytes]
    """By name: `digits-<version>.…` are the demo's, the others are for tests."""
    load: Images
    """What clients send in production."""
    accuracy: dict[str, float]
    """By file, on the golden set's scans; ratio in [0, 1]."""


@cache
def build_samples() -> Samples:
    """Train all models; takes a few seconds and gives the same files every time."""
    split = load_split()
    first = train_regression(split.training)
    second = train_network(split.training, seed=3)
    third = train_network(shuffled(split.training, seed=3), seed=3)
    fifth = train_network(split.training, seed=4)

    files = {
        "digits-1.onnx": export(first),
        "digits-2.onnx": export(second),
        "digits-3.onnx": export(third),
        "digits-4.tar.gz": python_model(second, Faults(faint_seconds=0.08, faint_errors=True)),
        "digits-5.onnx": export(fifth),
        "filtered.onnx": export(second, noise=NOISE),
        "broken.onnx": export(second)[:2_000],
        "renamed-input.onnx": export(second, input_name="scan"),
        "sound.tar.gz": python_model(second, Faults()),
        "broken.tar.gz": python_model(second, Faults(start_error="a layer is missing")),
        "slow.tar.gz": python_model(second, Faults(request_seconds=0.1)),
        "slow-start.tar.gz": python_model(second, Faults(start_seconds=20.0)),
        "crashing.tar.gz": python_model(second, Faults(crash_after=500)),
        "poisoned.tar.gz": python_model(second, Faults(poison=True)),
        "failing.tar.gz": python_model(
            second, Faults(error_every=4, errors_from_seconds=AFTER_WARM_UP)
        ),
        "failing-late.tar.gz": python_model(
            second, Faults(error_every=3, errors_from_seconds=LATE_SECONDS)
        ),
        "wrong.tar.gz": python_model(second, Faults(wrong_every=10)),
        "fears-white.tar.gz": python_model(second, Faults(white_errors=True)),
        "hanging.tar.gz": python_model(second, Faults(hang_after=150)),
        "pipeline.tar.gz": pipeline(second, error_every=0),
        "failing-pipeline.tar.gz": pipeline(second, error_every=4),
        "sized.tar.gz": patient_model("sized"),
        "lasting.tar.gz": patient_model("lasting"),
        GOLDEN: golden_set(split.golden),
        SMALL_GOLDEN: golden_set(second.answers(split.golden.part(0, SMALL_CASES))),
    }

    accuracy = {
        "digits-1.onnx": first.accuracy(split.golden),
        "digits-2.onnx": second.accuracy(split.golden),
        "digits-3.onnx": third.accuracy(split.golden),
        "digits-4.tar.gz": second.accuracy(split.golden),
        "digits-5.onnx": fifth.accuracy(split.golden),
    }

    return Samples(files, as_in_production(split.production).images, accuracy)


def python_model(network: Network, faults: Faults) -> bytes:
    """Return an archive of the network as a Python model with these faults."""
    weights = io.BytesIO()
    layers: dict[str, Any] = network.layers()
    np.savez(weights, **layers)
    return tar_gz(
        {
            "config.pbtxt": (SCANNER / "config.pbtxt").read_bytes(),
            "1/model.py": (SCANNER / "model.py").read_bytes(),
            "1/weights.npz": weights.getvalue(),
            "1/faults.json": json.dumps(asdict(faults)).encode(),
        }
    )


def patient_model(name: str) -> bytes:
    """Return an archive of a Python model for requests of any size, or of any length of time."""
    return tar_gz(
        {
            "config.pbtxt": (PATIENT / f"{name}.pbtxt").read_bytes(),
            "1/model.py": (PATIENT / f"{name}.py").read_bytes(),
        }
    )


def pipeline(network: Network, *, error_every: int) -> bytes:
    """Return a repository of three models: an ensemble, its step in Python, and the network.

    One of `error_every` requests fails in the step, before the network sees it; 0: none.
    """
    return tar_gz(
        {
            "pipeline/config.pbtxt": (PIPELINE / "pipeline.pbtxt").read_bytes(),
            "prepare/config.pbtxt": (PIPELINE / "prepare.pbtxt").read_bytes(),
            "prepare/1/model.py": (PIPELINE / "model.py").read_bytes(),
            "prepare/1/faults.json": json.dumps({"error_every": error_every}).encode(),
            "network/config.pbtxt": (PIPELINE / "network.pbtxt").read_bytes(),
            "network/1/model.onnx": export(network),
        }
    )
