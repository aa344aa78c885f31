"""Small models in the python backend, each for one trait of a server."""

from pathlib import Path
from textwrap import dedent, indent

from onnx import TensorProto, helper

HEAD = """\
import os
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
"""


def add_model(repository: Path, name: str, config: str, body: str) -> None:
    """Write a model of the python backend; `body` is its methods."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(HEAD + indent(dedent(body), "    "))
    (folder.parent / "config.pbtxt").write_text(f'backend: "python"\n{dedent(config)}')


def add_classifier(repository: Path, name: str = "digits") -> None:
    """Batches; probabilities are the softmax of the input, so that the best class is known."""
    add_model(
        repository,
        name,
        """
        max_batch_size: 8
        input [{ name: "pixels" data_type: TYPE_FP32 dims: [4] },
               { name: "scale" data_type: TYPE_FP32 dims: [1] optional: true }]
        output [{ name: "probabilities" data_type: TYPE_FP32 dims: [4] },
                { name: "label" data_type: TYPE_STRING dims: [1] }]
        """,
        """
        def execute(self, requests):
            return [self.answer(request) for request in requests]

        def answer(self, request):
            pixels = pb.get_input_tensor_by_name(request, "pixels").as_numpy()
            if (pixels < 0).any():
                return pb.InferenceResponse(error=pb.TritonError("negative pixel"))
            power = np.exp(pixels - pixels.max(axis=1, keepdims=True))
            share = (power / power.sum(axis=1, keepdims=True)).astype(np.float32)
            best = share.argmax(axis=1)[:, None]
            label = np.array([[f"class-{row[0]}".encode()] for row in best], dtype=np.object_)
            return pb.InferenceResponse(
                [pb.Tensor("probabilities", share), pb.Tensor("label", label)]
            )
        """,
    )


def learn(program: Path, memory: dict[tuple[float, ...], int]) -> None:
    """Let the classifier answer these inputs with these classes."""
    text = program.read_text()
    line = "        share = (power / power.sum(axis=1, keepdims=True)).astype(np.float32)\n"
    assert line in text
    recall = (
        f"        memory = {memory!r}\n"
        "        known = [memory[tuple(row.tolist())] for row in pixels]\n"
        "        share = np.eye(4, dtype=np.float32)[known]\n"
    )
    program.write_text(text.replace(line, recall))


def add_onnx(repository: Path, name: str = "sum") -> None:
    """Batches; the ONNX graph adds a vector to its input."""
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])]
    answered = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])]
    bias = helper.make_tensor("bias", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "bias"], ["y"])], name, given, answered, [bias]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder.parent / "config.pbtxt").write_text('backend: "onnxruntime"\nmax_batch_size: 4\n')


def add_mirror(repository: Path, name: str = "mirror") -> None:
    """Does not batch; answers each type with what it got."""
    types = ["BOOL", "UINT8", "INT8", "INT64", "UINT64", "FP16", "FP64", "STRING"]

    def tensors(side: str) -> str:
        entries = (f'{{ name: "{side}_{t}" data_type: TYPE_{t} dims: [-1] }}' for t in types)
        return ", ".join(entries)

    add_model(
        repository,
        name,
        f"max_batch_size: 0\ninput [{tensors('in')}]\noutput [{tensors('out')}]\n",
        f"""
        def execute(self, requests):
            return [pb.InferenceResponse([
                pb.Tensor("out_" + kind,
                          pb.get_input_tensor_by_name(request, "in_" + kind).as_numpy())
                for kind in {types}
            ]) for request in requests]
        """,
    )


def add_broken(repository: Path, name: str, reason: str) -> None:
    """Fails to load."""
    add_model(
        repository,
        name,
        ONE_NUMBER,
        f"""
        def initialize(self, args):
            raise RuntimeError({reason!r})
        """,
    )


def add_gated(repository: Path, name: str, gates: Path) -> None:
    """Loads when ``<gates>/load`` exists, and answers when ``<gates>/answer`` does.

    Says so in ``<gates>/loading`` and ``<gates>/answering``.
    """
    add_model(
        repository,
        name,
        ONE_NUMBER,
        f"""
        def initialize(self, args):
            self.wait("loading", "load")

        def execute(self, requests):
            self.wait("answering", "answer")
            return [pb.InferenceResponse([
                pb.Tensor("y", pb.get_input_tensor_by_name(request, "x").as_numpy())
            ]) for request in requests]

        def wait(self, say, gate):
            gates = Path({str(gates)!r})
            (gates / say).touch()
            deadline = time.monotonic() + 60
            while not (gates / gate).exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        """,
    )


ONE_NUMBER = """
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [1] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]
"""


def add_stateful(repository: Path, name: str = "counter", id_type: str = "") -> None:
    """Batches, with a sequence batcher; answers its input and refuses a request without an id."""
    control = (
        'control_input [{ name: "ID" control [{ kind: CONTROL_SEQUENCE_CORRID '
        f"data_type: {id_type} }}] }}]"
    )
    add_model(
        repository,
        name,
        f"""
        max_batch_size: 8
        sequence_batching {{ {control if id_type else ""} }}
        input [{{ name: "x" data_type: TYPE_FP32 dims: [3] }}]
        output [{{ name: "y" data_type: TYPE_FP32 dims: [3] }}]
        """,
        """
        def execute(self, requests):
            return [pb.InferenceResponse([
                pb.Tensor("y", pb.get_input_tensor_by_name(request, "x").as_numpy())
            ]) for request in requests]
        """,
    )


def add_streaming(repository: Path, name: str = "stream") -> None:
    """Batches, decoupled: answers its input, then twice its input; refuses negative numbers."""
    add_model(
        repository,
        name,
        """
        max_batch_size: 8
        model_transaction_policy { decoupled: true }
        input [{ name: "x" data_type: TYPE_FP32 dims: [3] }]
        output [{ name: "y" data_type: TYPE_FP32 dims: [3] }]
        """,
        """
        def execute(self, requests):
            for request in requests:
                sender = request.get_response_sender()
                x = pb.get_input_tensor_by_name(request, "x").as_numpy()
                if (x < 0).any():
                    sender.send(pb.InferenceResponse(error=pb.TritonError("negative number")))
                else:
                    for factor in (1, 2):
                        sender.send(pb.InferenceResponse([pb.Tensor("y", factor * x)]))
                sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        """,
    )


def add_slow(repository: Path, name: str = "slow", seconds: float = 0.2) -> None:
    """Does not batch; answers its input after a while, one request after the other."""
    add_model(
        repository,
        name,
        """
        max_batch_size: 0
        input [{ name: "x" data_type: TYPE_FP32 dims: [3] }]
        output [{ name: "y" data_type: TYPE_FP32 dims: [3] }]
        """,
        f"""
        def execute(self, requests):
            time.sleep({seconds})
            return [pb.InferenceResponse([
                pb.Tensor("y", pb.get_input_tensor_by_name(request, "x").as_numpy())
            ]) for request in requests]
        """,
    )


def add_echo(repository: Path, name: str = "echo") -> None:
    """Does not batch; answers a vector of any length with itself."""
    add_model(
        repository,
        name,
        """
        max_batch_size: 0
        input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }]
        output [{ name: "y" data_type: TYPE_FP32 dims: [-1] }]
        """,
        """
        def execute(self, requests):
            return [pb.InferenceResponse([
                pb.Tensor("y", pb.get_input_tensor_by_name(request, "x").as_numpy())
            ]) for request in requests]
        """,
    )
