"""The hook that keeps a server from being told to end while gRPC streams are open."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue

import grpc
import numpy as np
from slipway.api import names
from slipway.render import triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running, wait_until

ANSWERS = 2
"""Of the model to each message."""


class Stream:
    """A client that keeps one stream, and counts the answers that come on it."""

    def __init__(self, server: Running) -> None:
        self.answers = 0
        self.code = grpc.StatusCode.UNKNOWN
        self._messages: SimpleQueue[service_pb2.ModelInferRequest | None] = SimpleQueue()
        self._channel = grpc.insecure_channel(server.grpc)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def say(self) -> None:
        """Send a message."""
        message = service_pb2.ModelInferRequest(model_name="stream")
        message.inputs.add(name="x", datatype="FP32", shape=[1, 3])
        message.raw_input_contents.append(np.ones(3, dtype="<f4").tobytes())
        self._messages.put(message)

    def converse(self) -> None:
        """Send a message, and wait for the answers."""
        expected = self.answers + ANSWERS
        self.say()
        wait_until(lambda: self.answers >= expected)

    def end(self) -> None:
        """Say that this was all, wait for the end of the stream, and close the connection."""
        self._messages.put(None)
        self._reading.join(timeout=30)
        self._channel.close()

    def _read(self) -> None:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        call = stub.ModelStreamInfer(self._say_on())
        try:
            for message in call:
                self.answers += bool(message.infer_response.outputs)
            self.code = call.code()
        except grpc.RpcError as error:
            self.code = error.code()

    def _say_on(self) -> Iterator[service_pb2.ModelInferRequest]:
        while (message := self._messages.get()) is not None:
            yield message


def test_after_its_hook_the_server_ends_with_no_stream_cut(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        stream = Stream(server.wait_ready())
        stream.converse()
        hook = start_hook(server)
        for _ in range(10):
            stream.converse()
        assert hook.poll() is None, "the server may be told to end while a stream is open"
        stream.end()
        assert stream.code is grpc.StatusCode.OK
        assert hook.wait(timeout=30) == 0

        server.process.terminate()
        assert server.wait_ended() == 0


def serving(scratch: Path) -> AbstractContextManager[Running]:
    repository = scratch / "models"
    repository.mkdir()
    models.add_streaming(repository)
    return running(a_server("stream"), repository, scratch)


def start_hook(server: Running) -> subprocess.Popen[bytes]:
    """Start the container's hook, with the ports that the server has here."""
    hook = triton.render_container(server.spec)["lifecycle"]["preStop"]["exec"]["command"]
    script = hook[2].replace(f"sleep {triton.PRE_STOP_SECONDS}", "sleep 0")
    for name, port in (("http", names.TRITON_HTTP_PORT), ("grpc", names.TRITON_GRPC_PORT)):
        script = script.replace(f"{port:04X}", f"{server.ports[name]:04X}")
    return subprocess.Popen([*hook[:2], script, *hook[3:]])
