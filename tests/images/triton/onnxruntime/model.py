"""Serve ONNX models on a CPU through Triton's python backend, under the name `onnxruntime`.

The file stands where NVIDIA's image has its compiled backend, so that one config.pbtxt loads in
both. Where the two differ, this one is the smaller: CPU only, and one thread unless asked for more.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

Arrays = dict[str, npt.NDArray[Any]]
Config = Mapping[str, Any]
"""A model configuration as Triton prints it to JSON."""

TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}
"""ONNX tensor types and their names in config.pbtxt; bfloat16 has no numpy type, hence no entry."""

DEFAULT_MAX_BATCH = 4
"""What the compiled backend takes for a model that can batch when its config does not say."""


class TritonPythonModel:
    """One instance of one model; Triton calls it from a process of its own."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Fill in inputs, outputs and batching from the graph unless the config names tensors."""
        config = auto_complete_model_config.as_dict()
        if not (config["input"] and config["output"]):
            complete(auto_complete_model_config, open_session(config, model_file_of_process()))
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the model; a config that contradicts the graph fails the load."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"])
        self._session = open_session(config, folder / config["default_model_filename"])
        self._batched = config["max_batch_size"] > 0
        refuse_contradictions(config, self._session)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer every request; those whose shapes fit together share one run."""
        answers: list[Any] = [None] * len(requests)
        feeds: dict[int, Arrays] = {}
        for index, request in enumerate(requests):
            try:
                feeds[index] = read_inputs(request)
            except ValueError as error:
                answers[index] = failure(error)
        for members in self._runs(feeds):
            asked = (requests[index].requested_output_names() for index in members)
            wanted = sorted(set().union(*asked))
            results = self._run([feeds[index] for index in members], wanted)
            for index, result in zip(members, results, strict=True):
                answers[index] = answer(requests[index], result)
        return answers

    def _runs(self, feeds: Mapping[int, Arrays]) -> list[list[int]]:
        if not self._batched:
            return [[index] for index in feeds]
        runs = defaultdict(list)
        for index, arrays in feeds.items():
            shape_per_row = tuple((name, array.shape[1:]) for name, array in sorted(arrays.items()))
            runs[shape_per_row].append(index)
        return list(runs.values())

    def _run(self, feeds: Sequence[Arrays], wanted: list[str]) -> list[Arrays | Exception]:
        try:
            if len(feeds) == 1:
                return [dict(zip(wanted, self._session.run(wanted, feeds[0]), strict=True))]
            merged = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
            outputs = dict(zip(wanted, self._session.run(wanted, merged), strict=True))
            return split(outputs, [rows(feed) for feed in feeds])
        except Exception as error:  # noqa: BLE001 - whatever it was, it belongs to one request
            if len(feeds) == 1:
                return [error]
            return [result for feed in feeds for result in self._run([feed], wanted)]


def model_file_of_process() -> Path:
    """Return the model file that Triton names to the stub: the completion gets no arguments."""
    return Path(Path("/proc/self/cmdline").read_text().split("\0")[1])


def open_session(config: Config, file: Path) -> Any:
    """Load `file` with the thread settings that the compiled backend reads from `parameters`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = parameter(config, "intra_op_thread_count", default=1)
    options.inter_op_num_threads = parameter(config, "inter_op_thread_count", default=1)
    if parameter(config, "execution_mode", default=0):
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    path = file / "model.onnx" if file.is_dir() else file
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def parameter(config: Config, name: str, *, default: int) -> int:
    """Return a whole number from the config's `parameters`."""
    value = config.get("parameters", {}).get(name, {}).get("string_value", default)
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"parameters.{name}: expected a whole number, found {value!r}") from None


def complete(completion: Any, session: Any) -> None:
    """Add what the graph knows: batching if every tensor's first axis is free, and the tensors."""
    config = completion.as_dict()
    tensors = [*session.get_inputs(), *session.get_outputs()]
    can_batch = all(tensor.shape and free(tensor.shape[0]) for tensor in tensors)
    if can_batch and config["max_batch_size"] == 0:
        completion.set_max_batch_size(DEFAULT_MAX_BATCH)
    if can_batch and config["max_batch_size"] > 1 and "sequence_batching" not in config:
        completion.set_dynamic_batching()
    batched = config["max_batch_size"] > 0
    config["input"] = config["input"] or [entry(t, batched) for t in session.get_inputs()]
    config["output"] = config["output"] or [entry(t, batched) for t in session.get_outputs()]


def entry(tensor: Any, batched: bool) -> dict[str, Any]:
    """Return the tensor's entry in config.pbtxt; Triton allows no empty `dims`, hence `reshape`."""
    dims = [-1 if free(size) else size for size in tensor.shape][1 if batched else 0 :]
    named = {"name": tensor.name, "data_type": triton_type(tensor)}
    return {**named, "dims": dims} if dims else {**named, "dims": [1], "reshape": {"shape": []}}


def free(size: int | str | None) -> bool:
    """Tell whether an axis takes any length: ONNX gives such an axis a name or nothing."""
    return not isinstance(size, int)


def triton_type(tensor: Any) -> str:
    """Return the tensor's type as config.pbtxt spells it."""
    if tensor.type not in TYPES:
        hint = "; export classifiers with zipmap off" if "map" in tensor.type else ""
        raise ValueError(f"{tensor.name}: {tensor.type} has no counterpart in Triton{hint}")
    return TYPES[tensor.type]


def refuse_contradictions(config: Config, session: Any) -> None:
    """Compare the config's tensors with the graph's.

    Raises:
        ValueError: names, types or dims differ, or the graph cannot batch and the config does.

    """
    batched = config["max_batch_size"] > 0
    for kind, found in (("input", session.get_inputs()), ("output", session.get_outputs())):
        graph = {tensor.name: tensor for tensor in found}
        named = {tensor["name"] for tensor in config[kind]}
        if named - set(graph) or (kind == "input" and set(graph) - named):
            raise ValueError(f"{kind}: the config names {sorted(named)}, the graph {sorted(graph)}")
        for tensor in config[kind]:
            refuse_contradiction(tensor, graph[tensor["name"]], batched=batched)


def refuse_contradiction(tensor: Config, graph: Any, *, batched: bool) -> None:
    """Compare one tensor of the config with the graph's."""
    if batched and not (graph.shape and free(graph.shape[0])):
        raise ValueError(f"{graph.name}: max_batch_size > 0 needs a free first axis: {graph.shape}")
    if tensor["data_type"] != triton_type(graph):
        raise ValueError(f"{graph.name}: {tensor['data_type']}, but the graph has {graph.type}")
    dims = tensor["reshape"]["shape"] if "reshape" in tensor else tensor["dims"]
    sizes = graph.shape[1:] if batched else graph.shape
    fits = (free(size) or size == dim for size, dim in zip(sizes, dims, strict=False))
    if len(dims) != len(sizes) or not all(fits):
        raise ValueError(f"{graph.name}: dims {dims}, but the graph has {sizes}")


def read_inputs(request: Any) -> Arrays:
    """Return the request's tensors; strings arrive as bytes and ONNX wants text.

    Raises:
        ValueError: a string is no UTF-8.

    """
    arrays: Arrays = {}
    for tensor in request.inputs():
        array = tensor.as_numpy()
        if array.dtype == np.object_:
            text = [value.decode() for value in array.ravel()]
            array = np.array(text, dtype=np.object_).reshape(array.shape)
        arrays[tensor.name()] = array
    return arrays


def rows(feed: Arrays) -> int:
    """Return the number of records in one request."""
    return len(next(iter(feed.values())))


def split(outputs: Arrays, lengths: Sequence[int]) -> list[Arrays | Exception]:
    """Cut every output along its first axis, one piece for each request.

    Raises:
        ValueError: an output has not one row for each record.

    """
    *cuts, total = accumulate(lengths)
    for name, array in outputs.items():
        if array.shape[:1] != (total,):
            raise ValueError(f"{name}: expected {total} rows, found shape {list(array.shape)}")
    pieces = {name: np.split(array, cuts) for name, array in outputs.items()}
    return [{name: pieces[name][i] for name in outputs} for i in range(len(lengths))]


def answer(request: Any, result: Arrays | Exception) -> Any:
    """Return the response with the outputs that this request asked for."""
    if isinstance(result, Exception):
        return failure(result)
    names = request.requested_output_names()
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, result[name]) for name in names])


def failure(error: Exception) -> Any:
    """Return the response that says what went wrong with one request."""
    return pb_utils.InferenceResponse([], pb_utils.TritonError(str(error)))
