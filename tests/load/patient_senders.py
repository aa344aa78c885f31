"""Requests that last, that are large, or that come on connections which were idle for long."""

import asyncio
import json
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.load.ledger import NO_REVISION, Answer
from tests.load.plan import LoadPlan
from tests.load.senders import (
    HttpSender,
    open_channel,
    revision_of,
)

IDLE_CONNECTIONS = 24
KEPT_SECONDS = 600.0
"""How long a client keeps an idle connection: longer than any server does."""
BINARY = {"content-type": "application/octet-stream"}


class BodySender(HttpSender):
    """Sends bodies of so many bytes, in Triton's binary form, one connection for each at a time."""

    def __init__(self, plan: LoadPlan) -> None:
        super().__init__(plan)
        numbers = plan.body_bytes // 4
        tensor = {"name": plan.input, "shape": [1, numbers], "datatype": "FP32"}
        binary = {**tensor, "parameters": {"binary_data_size": 4 * numbers}}
        head = json.dumps({"inputs": [binary]}).encode()
        self._bodies = [head + bytes(4 * numbers)]
        self._headers = {**BINARY, "inference-header-content-length": str(len(head))}


class LastingSender(HttpSender):
    """Asks for answers that take so long."""

    def __init__(self, plan: LoadPlan) -> None:
        super().__init__(plan)
        self._url = f"http://{plan.address}/v2/models/{plan.model}/generate"
        wanted = {"seconds": plan.answer_seconds, "answers": 1}
        self._bodies = [json.dumps(wanted).encode()]


class IdleSender:
    """Sends on connections in turn, so that each was idle for long when its turn comes."""

    def __init__(self, plan: LoadPlan) -> None:
        self._senders = [
            HttpSender(plan, kept_seconds=KEPT_SECONDS) for _ in range(IDLE_CONNECTIONS)
        ]

    async def send(self, number: int) -> Answer:
        """Send one request, once; every end of it is an answer."""
        return await self._senders[number % IDLE_CONNECTIONS].send(number)

    async def __aenter__(self) -> Self:
        """Open sessions; each keeps one connection."""
        for sender in self._senders:
            await sender.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await asyncio.gather(*(sender.__aexit__(None, None, None) for sender in self._senders))


class TicksSender:
    """Asks a decoupled model for answers over some time; a stream is one request."""

    ANSWERS = 10

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._request = ticks_request(plan.model, plan.answer_seconds, self.ANSWERS)
        self._channels: list[grpc.aio.Channel] = []

    async def send(self, number: int) -> Answer:
        """Open a stream, and read until the model says that this was all."""
        channel = self._channels[number % len(self._channels)]
        call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(
            timeout=self._plan.timeout_seconds
        )
        came = 0
        try:
            await call.write(self._request)
            await call.done_writing()
            while (message := await call.read()) is not grpc.aio.EOF:
                if message.error_message:
                    return Answer(cause=message.error_message)
                came += bool(message.infer_response.outputs)
            code, revision = await call.code(), revision_of(await call.initial_metadata())
        except grpc.aio.AioRpcError as error:
            return Answer(cause=f"after {came} answers: {error.code().name} {error.details()}")
        except asyncio.InvalidStateError as error:
            return Answer(cause=f"after {came} answers: {error}")

        if came == self.ANSWERS and code is grpc.StatusCode.OK:
            return Answer(revision or NO_REVISION)
        return Answer(revision or NO_REVISION, f"{came} of {self.ANSWERS} answers, {code.name}")

    async def __aenter__(self) -> Self:
        """Open connections."""
        self._channels = [open_channel(self._plan) for _ in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


def ticks_request(model: str, seconds: float, answers: int) -> Any:
    """Return the request for so many answers in the course of some seconds."""
    request = service_pb2.ModelInferRequest(model_name=model)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    for name, datatype, value in (
        ("seconds", "FP32", np.asarray([seconds], dtype="<f4")),
        ("answers", "INT32", np.asarray([answers], dtype="<i4")),
    ):
        request.inputs.add(name=name, datatype=datatype, shape=[1])
        request.raw_input_contents.append(value.tobytes())
    return request
