"""The backend as Triton calls it, with the two modules that only its image has put in its place."""

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

MODEL = Path(__file__).parents[2] / "images/triton/onnxruntime/model.py"


@dataclass(frozen=True)
class Tensor:
    """As triton_python_backend_utils has it."""

    label: str
    array: np.ndarray[Any, Any]

    def name(self) -> str:
        return self.label

    def as_numpy(self) -> np.ndarray[Any, Any]:
        return self.array


@dataclass(frozen=True)
class Response:
    tensors: list[Tensor]
    error: str = ""

    def array(self, name: str) -> list[Any]:
        return next(tensor.array.tolist() for tensor in self.tensors if tensor.label == name)


@dataclass(frozen=True)
class Request:
    values: Mapping[str, np.ndarray[Any, Any]]
    wants: tuple[str, ...] = ("doubled",)

    def inputs(self) -> list[Tensor]:
        return [Tensor(name, array) for name, array in self.values.items()]

    def requested_output_names(self) -> list[str]:
        return list(self.wants)


@dataclass(frozen=True)
class Axis:
    """An input or output as onnxruntime describes it."""

    name: str
    type: str = "tensor(float)"
    shape: tuple[int | str | None, ...] = ("N", 2)


@dataclass
class Session:
    """Doubles `x` and counts its rows; a negative number makes the whole run fail."""

    inputs: list[Axis] = field(default_factory=lambda: [Axis("x")])
    outputs: list[Axis] = field(default_factory=lambda: [Axis("doubled"), Axis("rows")])
    runs: list[tuple[list[str], int]] = field(default_factory=list)

    def get_inputs(self) -> list[Axis]:
        return self.inputs

    def get_outputs(self) -> list[Axis]:
        return self.outputs

    def run(self, wanted: list[str], feed: Mapping[str, np.ndarray[Any, Any]]) -> list[Any]:
        x = feed["x"]
        self.runs.append((wanted, len(x)))
        if x.dtype != np.object_ and (x < 0).any():
            raise RuntimeError("negative")
        outputs = {"doubled": x + x, "rows": np.arange(len(x))}
        return [outputs[name] for name in wanted]


class Completion:
    """What Triton hands to auto_complete_config."""

    def __init__(self, **given: Any) -> None:
        self.config: dict[str, Any] = {"max_batch_size": 0, "input": [], "output": [], **given}

    def as_dict(self) -> dict[str, Any]:
        return self.config

    def set_max_batch_size(self, size: int) -> None:
        self.config["max_batch_size"] = size

    def set_dynamic_batching(self) -> None:
        self.config["dynamic_batching"] = {}


COMPLETE = {
    "default_model_filename": "model.onnx",
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
    "output": [{"name": "doubled", "data_type": "TYPE_FP32", "dims": [2]}],
}


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, session: Session) -> Any:
    utils: Any = ModuleType("triton_python_backend_utils")
    utils.Tensor, utils.TritonError, utils.InferenceResponse = Tensor, str, Response
    runtime: Any = ModuleType("onnxruntime")
    runtime.SessionOptions = SimpleNamespace
    runtime.ExecutionMode = SimpleNamespace(ORT_PARALLEL="parallel")
    runtime.InferenceSession = lambda path, options, providers: session  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    spec = importlib.util.spec_from_file_location("model", MODEL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded(backend: Any, **changes: Any) -> Any:
    model = backend.TritonPythonModel()
    config = json.dumps(COMPLETE | changes)
    model.initialize(
        {"model_config": config, "model_repository": "/models/m", "model_version": "1"}
    )
    return model


def row(*values: float) -> np.ndarray[Any, Any]:
    return np.array([values], dtype=np.float32)


def test_requests_of_one_shape_share_a_run_and_get_their_own_rows(
    backend: Any, session: Session
) -> None:
    requests = [Request({"x": row(1, 2)}), Request({"x": np.concatenate([row(3, 4), row(5, 6)])})]
    first, second = loaded(backend).execute(requests)

    assert first.array("doubled") == [[2, 4]]
    assert second.array("doubled") == [[6, 8], [10, 12]]
    assert session.runs == [(["doubled"], 3)]


def test_requests_of_different_shapes_do_not_meet(backend: Any, session: Session) -> None:
    requests = [Request({"x": row(1, 2)}), Request({"x": row(3)}), Request({"x": row(5, 6)})]
    answers = loaded(backend).execute(requests)

    assert [answer.array("doubled") for answer in answers] == [[[2, 4]], [[6]], [[10, 12]]]
    assert [rows for _, rows in session.runs] == [2, 1]


def test_a_model_without_batches_runs_each_request_alone(backend: Any, session: Session) -> None:
    without = {
        "max_batch_size": 0,
        "input": [{**COMPLETE["input"][0], "dims": [-1, 2]}],  # type: ignore[index]
        "output": [{**COMPLETE["output"][0], "dims": [-1, 2]}],  # type: ignore[index]
    }
    loaded(backend, **without).execute([Request({"x": row(1, 2)}), Request({"x": row(3, 4)})])

    assert [rows for _, rows in session.runs] == [1, 1]


def test_a_bad_request_fails_alone(backend: Any) -> None:
    requests = [Request({"x": row(value, 0)}) for value in (1, -1, 3)]
    good, bad, other = loaded(backend).execute(requests)

    assert (good.error, other.error) == ("", "")
    assert other.array("doubled") == [[6, 0]]
    assert bad.error == "negative"


def test_each_request_gets_the_outputs_that_it_asked_for(backend: Any) -> None:
    wants: Sequence[tuple[str, ...]] = [("doubled",), ("rows",), ("rows", "doubled")]
    answers = loaded(backend).execute([Request({"x": row(1, 1)}, want) for want in wants])

    assert [[tensor.label for tensor in answer.tensors] for answer in answers] == [
        list(want) for want in wants
    ]
    assert answers[2].array("rows") == [2]


def test_an_output_without_a_row_for_each_record_is_an_error(
    backend: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "run", lambda wanted, _: [np.zeros(7) for _ in wanted])
    model = loaded(backend)
    with pytest.raises(ValueError, match=r"doubled: expected 3 rows, found shape \[7\]"):
        backend.split({"doubled": np.zeros(7)}, [1, 2])

    assert model.execute([Request({"x": row(1, 1)})])[0].error == ""


def test_strings_reach_the_model_as_text(backend: Any, session: Session) -> None:
    session.inputs, session.outputs = [Axis("x", "tensor(string)")], [Axis("doubled")]
    strings = [{"name": "x", "data_type": "TYPE_STRING", "dims": [2]}]
    words = np.array([["ä".encode(), b"b"]], dtype=np.object_)
    answer = loaded(backend, input=strings).execute([Request({"x": words})])[0]

    assert answer.array("doubled") == [["ää", "bb"]]


def test_bytes_that_are_no_text_fail_their_request_only(backend: Any, session: Session) -> None:
    session.inputs = [Axis("x", "tensor(string)")]
    strings = [{"name": "x", "data_type": "TYPE_STRING", "dims": [2]}]
    bad, good = (np.array([[word, b"b"]], dtype=np.object_) for word in (b"\xff", b"a"))
    answers = loaded(backend, input=strings).execute([Request({"x": bad}), Request({"x": good})])

    assert "invalid start byte" in answers[0].error
    assert answers[1].error == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            {"input": [{"name": "y", "data_type": "TYPE_FP32", "dims": [2]}]},
            r"input: the config names \['y'\], the graph \['x'\]",
            id="an input that the graph lacks",
        ),
        pytest.param(
            {"output": [{"name": "z", "data_type": "TYPE_FP32", "dims": [2]}]},
            r"output: the config names \['z'\], the graph \['doubled', 'rows'\]",
            id="an output that the graph lacks",
        ),
        pytest.param(
            {"input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [2]}]},
            r"x: TYPE_INT64, but the graph has tensor\(float\)",
            id="another type",
        ),
        pytest.param(
            {"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]},
            r"x: dims \[3\], but the graph has",
            id="another size",
        ),
        pytest.param(
            {"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2, 1]}]},
            r"x: dims \[2, 1\]",
            id="another number of axes",
        ),
        pytest.param(
            {"parameters": {"intra_op_thread_count": {"string_value": "many"}}},
            "intra_op_thread_count: expected a whole number, found 'many'",
            id="a thread count that is no number",
        ),
    ],
)
def test_a_config_that_contradicts_the_graph_fails_the_load(
    backend: Any, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        loaded(backend, **change)


def test_a_graph_of_fixed_size_cannot_batch(backend: Any, session: Session) -> None:
    session.inputs = [Axis("x", shape=(1, 2))]
    with pytest.raises(ValueError, match="x: max_batch_size > 0 needs a free first axis"):
        loaded(backend)


def test_a_graph_that_can_batch_gets_batching_and_its_tensors(
    backend: Any, session: Session
) -> None:
    session.outputs = [Axis("label", "tensor(int64)", ("N",)), Axis("odds", shape=(None, 10))]
    completion = Completion()

    backend.complete(completion, session)

    assert completion.config == {
        "max_batch_size": 4,
        "dynamic_batching": {},
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
        "output": [
            {"name": "label", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}},
            {"name": "odds", "data_type": "TYPE_FP32", "dims": [10]},
        ],
    }


def test_a_graph_of_fixed_size_keeps_its_first_axis(backend: Any, session: Session) -> None:
    session.inputs = [replace(session.inputs[0], shape=(1, "M"))]
    completion = Completion()
    backend.complete(completion, session)

    assert completion.config["max_batch_size"] == 0
    assert completion.config["input"][0]["dims"] == [1, -1]


def test_tensors_that_the_config_names_stay_as_they_are(backend: Any) -> None:
    given = {"input": [{"name": "mine"}], "output": [{"name": "mine too"}]}
    completed = backend.TritonPythonModel.auto_complete_config(Completion(**given))

    assert completed.config == {"max_batch_size": 0, **given}


def test_a_map_is_refused_with_the_way_out(backend: Any, session: Session) -> None:
    session.outputs = [Axis("odds", "seq(map(int64,tensor(float)))", ())]
    with pytest.raises(ValueError, match=r"odds: .* export classifiers with zipmap off"):
        backend.complete(Completion(), session)


def test_one_thread_unless_the_config_asks_for_more(backend: Any) -> None:
    options: list[Any] = []
    backend.ort.InferenceSession = lambda _, chosen, providers: options.append(chosen)  # noqa: ARG005
    backend.open_session({}, Path("model.onnx"))
    asked = {
        "intra_op_thread_count": {"string_value": "3"},
        "execution_mode": {"string_value": "1"},
    }
    backend.open_session({"parameters": asked}, Path("model.onnx"))

    assert [chosen.intra_op_num_threads for chosen in options] == [1, 3]
    assert options[1].execution_mode == "parallel"
