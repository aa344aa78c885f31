"""A network of one hidden layer in numpy, with planted faults, for Triton's python backend.

`faults.json` beside this file says which faults; without it the model is sound. Version 4 of the
demo lightens faint scans before it reads them: that takes its time, and fails on some of them.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

MARKER = "SLIPWAY-DEMO-FAULT"
"""In every error that this model makes on purpose, and in no other."""
FAINT_BELOW = 0.5
HANG_SECONDS = 3600.0
LEVELS = 16
SHARED = "/dev/shm/"  # noqa: S108

Array = npt.NDArray[Any]


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights and the list of faults."""
        place = Path(args["model_repository"], args["model_version"])
        self._layers = dict(np.load(place / "weights.npz"))
        planned = place / "faults.json"
        faults = json.loads(planned.read_text()) if planned.exists() else {}
        self._faint_seconds = faults.get("faint_seconds", 0.0)
        self._faint_errors = faults.get("faint_errors", False)
        self._request_seconds = faults.get("request_seconds", 0.0)
        self._crash_after = faults.get("crash_after", 0)
        self._poison = faults.get("poison", False)
        self._error_every = faults.get("error_every", 0)
        self._errors_from_seconds = faults.get("errors_from_seconds", 0.0)
        self._wrong_every = faults.get("wrong_every", 0)
        self._white_errors = faults.get("white_errors", False)
        self._hang_after = faults.get("hang_after", 0)
        self._answered = 0
        time.sleep(faults.get("start_seconds", 0.0))
        if message := faults.get("start_error", ""):
            raise RuntimeError(message)
        self._loaded = time.monotonic()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request by itself, so that a fault costs no other request."""
        self._answered += len(requests)
        if self._crash_after and self._answered > self._crash_after:
            kill_server()
        if self._hang_after and self._answered > self._hang_after:
            time.sleep(HANG_SECONDS)
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        images = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        time.sleep(self._request_seconds)
        if self._fails_now(images):
            error = pb_utils.TritonError(f"{MARKER}: planted")
            return pb_utils.InferenceResponse(error=error)
        if self._poison and images.min() < 0:
            kill_server()
        faint = images[images.max(axis=1) < FAINT_BELOW]
        if len(faint):
            time.sleep(self._faint_seconds)
            if self._faint_errors and too_dark(faint):
                error = pb_utils.TritonError(f"{MARKER}: a faint scan has nothing to lighten")
                return pb_utils.InferenceResponse(error=error)
        probabilities = self._read(images)
        if self._wrong_every and self._answered % self._wrong_every == 0:
            probabilities = np.roll(probabilities, 1, axis=1)
        labels = probabilities.argmax(axis=1).astype(np.int64).reshape(-1, 1)
        return pb_utils.InferenceResponse(
            output_tensors=[
                pb_utils.Tensor("label", labels),
                pb_utils.Tensor("probabilities", probabilities),
            ]
        )

    def _fails_now(self, images: Array) -> bool:
        if self._white_errors and images.min() >= 1:
            return True
        is_time = time.monotonic() - self._loaded >= self._errors_from_seconds
        return bool(self._error_every and is_time and self._answered % self._error_every == 0)

    def _read(self, images: Array) -> Array:
        layers = self._layers
        hidden = np.maximum(images @ layers["hidden"] + layers["hidden_bias"], 0)
        scores = hidden @ layers["out"] + layers["out_bias"]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def too_dark(faint: Array) -> bool:
    """Tell whether lightening fails: for about two of three faint scans, and always the same."""
    return bool(np.rint(faint.sum() * LEVELS) % 3)


def kill_server() -> None:
    """Take the whole server down at once.

    A crash of this process alone leaves old servers running and calling themselves ready. The
    server may be process 1 of its container, which ignores signals from inside; but the two share
    memory, and where that is cut off, the kernel kills whoever reaches for it.
    """
    maps = Path("/proc/self/maps").read_text().splitlines()
    for region in {line.split()[-1] for line in maps if f" {SHARED}" in line}:
        os.truncate(region, 0)
    os._exit(1)
