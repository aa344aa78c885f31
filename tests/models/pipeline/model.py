"""The first step of a pipeline: brings scans into the range that the network was trained on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

MARKER = "SLIPWAY-DEMO-FAULT"
"""In every error that this model makes on purpose, and in no other."""


class TritonPythonModel:
    """One instance of the step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read how often the step fails; 0: never."""
        planned = Path(args["model_repository"], args["model_version"], "faults.json")
        self._error_every = json.loads(planned.read_text())["error_every"]
        self._answered = 0

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request by itself."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        self._answered += 1
        if self._error_every and self._answered % self._error_every == 0:
            error = pb_utils.TritonError(f"{MARKER}: the scan is upside down")
            return pb_utils.InferenceResponse(error=error)

        image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
        tidy = np.clip(image, 0, 1).astype(np.float32)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("tidy", tidy)])
