"""Gives so many answers in the course of so many seconds, to all that ask at the same time."""

import threading
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of the model."""

    def execute(self, requests: list[Any]) -> None:
        """Begin to answer every request, each in a thread of its own."""
        for request in requests:
            seconds, answers = (
                float(pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0])
                for name in ("seconds", "answers")
            )
            words = (request.get_response_sender(), seconds, int(answers))
            threading.Thread(target=answer, args=words).start()


def answer(sender: Any, seconds: float, answers: int) -> None:
    """Send the answers one by one, the last one at the end of the time."""
    for number in range(1, answers + 1):
        time.sleep(seconds / answers)
        tensor = pb_utils.Tensor("number", np.array([number], dtype=np.int32))
        sender.send(pb_utils.InferenceResponse([tensor]))
    sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
