"""Says how many numbers it got, of requests of any size."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of the model."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request."""
        return [pb_utils.InferenceResponse([_size_of(request)]) for request in requests]


def _size_of(request: Any) -> Any:
    image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()
    return pb_utils.Tensor("size", np.array([image.size], dtype=np.int64))
