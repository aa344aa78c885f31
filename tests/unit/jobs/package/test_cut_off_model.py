"""A model file that is cut off is named before a pod starts, and an unusual whole one never is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, make_tree, walk_files
from slipway.jobs.package.onnx_graph import describe_cut
from slipway.jobs.package.repository_plan import RepositoryPlan, plan_model_repository

REAL_MODELS = sorted(Path(onnx.backend.test.__file__).parent.rglob("*.onnx"))
"""Models that others exported or wrote by hand, of old and new versions of the format."""
UNKNOWN_FIELDS = b"\xc2\x3e\x05later" + b"\xd5\x3ewxyz"
"""Field 1000 as text, and field 1002 as four bytes."""
UNKNOWN_GROUP = b"\xcb\x3e\x08\x01\xcc\x3e"
"""Field 1001, as protobuf wrote messages before they had a length."""


def a_model(width: int = 2000) -> onnx.ModelProto:
    weights = np.arange(width, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph)


WHOLE: bytes = a_model().SerializeToString()
CUT = WHOLE[:3000]


def plan(folder: Path, files: dict[str, bytes], model: str = "digits") -> RepositoryPlan:
    return plan_model_repository(tree_of(folder, files), ConfigRequest(model_name=model))


def tree_of(folder: Path, files: dict[str, bytes]) -> Tree:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return make_tree(walk_files(folder))


def is_cut(data: bytes) -> bool:
    """Whether protobuf's own reader refuses the bytes."""
    try:
        onnx.ModelProto.FromString(data)
    except DecodeError:
        return True
    return False


def test_every_cut_that_protobuf_refuses_is_found_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    whole = a_model(width=100).SerializeToString()

    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        assert (describe_cut(path) is not None) == is_cut(whole[:length]), length


def test_the_message_names_the_file_what_was_found_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JobFailure) as refused:
        plan(tmp_path, {"digits-3.onnx": CUT})

    graph = a_model().graph.SerializeToString()
    end = WHOLE.index(graph) + len(graph)
    assert refused.value.reason is Reason.CORRUPT_MODEL
    assert str(refused.value) == (
        f"source digits-3.onnx: cut off: found 3000 bytes, and its graph goes on to byte {end}: "
        "upload the whole file, then run `retry`"
    )


def test_a_file_without_a_byte_is_none(tmp_path: Path) -> None:
    with pytest.raises(JobFailure, match="found 0 bytes"):
        plan(tmp_path, {"digits-3.onnx": b""})


@pytest.mark.parametrize("path", REAL_MODELS, ids=lambda path: path.parent.name)
def test_models_that_others_made_are_whole(path: Path) -> None:
    assert describe_cut(path) is None


def of_tomorrow(model: onnx.ModelProto) -> None:
    model.ir_version = 999
    model.opset_import[0].version = 999
    model.opset_import.add(domain="com.example.unheard", version=7)


def with_unknown_fields(model: onnx.ModelProto) -> None:
    model.MergeFromString(UNKNOWN_FIELDS)


def with_weights_beside_it(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="model.onnx.data")


def with_functions(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="local")
    model.metadata_props.add(key="long", value="v" * 70_000)


@pytest.mark.parametrize(
    "change", [of_tomorrow, with_unknown_fields, with_weights_beside_it, with_functions]
)
def test_an_unusual_model_is_planned_without_a_word(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None]
) -> None:
    model = a_model()
    change(model)

    made = plan(
        tmp_path, {"1/model.onnx": model.SerializeToString(), "1/model.onnx.data": bytes(8000)}
    )

    assert made.warnings == []
    assert made.signature is not None


ENSEMBLE = {"digits/config.pbtxt": b'platform: "ensemble"', "digits/1/.keep": b""}


@pytest.mark.parametrize(
    "network",
    [
        pytest.param({"network/1/model.onnx": CUT}, id="without config.pbtxt"),
        pytest.param(
            {"network/config.pbtxt": b'backend: "onnxruntime"', "network/3/model.onnx": CUT},
            id="with config.pbtxt",
        ),
        pytest.param(
            {
                "network/config.pbtxt": b'default_model_filename: "half.onnx"',
                "network/1/half.onnx": CUT,
            },
            id="by another name",
        ),
    ],
)
def test_a_part_of_an_ensemble_that_is_cut_off_is_named(
    tmp_path: Path, network: dict[str, bytes]
) -> None:
    with pytest.raises(JobFailure, match=r"^source network/./\w+\.onnx: cut off") as refused:
        plan(tmp_path, {**ENSEMBLE, **network})

    assert refused.value.reason is Reason.CORRUPT_MODEL


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            {"config.pbtxt": b'backend: "vault"', "1/model.onnx": CUT}, id="of an unknown backend"
        ),
        pytest.param(
            {
                **ENSEMBLE,
                "network/config.pbtxt": b'backend: "vault"',
                "network/1/model.onnx": CUT,
            },
            id="of an unknown backend in an ensemble",
        ),
        pytest.param(
            {**ENSEMBLE, "network/1/model.onnx": CUT, "network/2/model.onnx": WHOLE},
            id="of a version that Triton does not load",
        ),
        pytest.param(
            {"1/model.onnx": WHOLE, "1/draft.onnx": CUT}, id="beside the one that is served"
        ),
        pytest.param({"1/model.onnx": b"\xff" * 64}, id="that is no protobuf at all"),
        pytest.param({"1/model.onnx": WHOLE + UNKNOWN_GROUP}, id="of a form that we do not read"),
    ],
)
def test_what_triton_may_never_read_as_onnx_is_no_obstacle(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    plan(tmp_path, files)
