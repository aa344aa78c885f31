from typing import Any

import pytest
from google.protobuf import text_format
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest, ModelFormat, QueueRequest
from slipway.api.result import TensorSpec
from slipway.errors import JobFailure
from slipway.jobs.package.config_pbtxt import (
    DEFAULT_MAX_QUEUE_SIZE,
    FinishedConfig,
    ModelFile,
    fill_config,
    parse_config,
)
from slipway.jobs.package.onnx_graph import OnnxGraph
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

BATCHING = OnnxGraph(
    inputs=(TensorSpec(name="x", datatype="FP32", dims=[-1, 64]),),
    outputs=(TensorSpec(name="label", datatype="INT64", dims=[-1]),),
)
FIXED = OnnxGraph(
    inputs=(TensorSpec(name="x", datatype="FP32", dims=[1, 64]),),
    outputs=(TensorSpec(name="y", datatype="BYTES", dims=[1, -1]),),
)
KIND_CPU = ModelInstanceGroup.Kind.Value("KIND_CPU")
OUTPUT = 'output { name: "y" data_type: TYPE_FP32 dims: [-1] }'
IO = (
    'input { name: "x" data_type: TYPE_FP32 dims: [64] } '
    'input { name: "hint" data_type: TYPE_STRING dims: [1] optional: true } '
    f"{OUTPUT} "
)


def fill(
    source: str = "",
    format_: ModelFormat = ModelFormat.ONNX,
    graph: OnnxGraph | None = None,
    *,
    name: str = "",
    declares_tensors: bool = False,
    **order: Any,
) -> FinishedConfig:
    request = ConfigRequest(model_name="digits", **order)
    file = ModelFile(graph, name, declares_tensors)
    return fill_config(parse_config(source, "source config.pbtxt"), request, format_, file)


def config(filled: FinishedConfig) -> Any:
    return text_format.Parse(filled.text, ModelConfig())


@pytest.mark.parametrize(
    ("format_", "backend", "platform"),
    [
        (ModelFormat.ONNX, "onnxruntime", ""),
        (ModelFormat.TENSORRT, "", "tensorrt_plan"),
        (ModelFormat.TENSORFLOW, "", "tensorflow_savedmodel"),
        (ModelFormat.TORCHSCRIPT, "pytorch", ""),
        (ModelFormat.OPENVINO, "openvino", ""),
        (ModelFormat.FIL, "fil", ""),
        (ModelFormat.PYTHON, "python", ""),
        (ModelFormat.REPOSITORY, "", ""),
    ],
)
def test_the_backend_follows_from_the_format(
    format_: ModelFormat, backend: str, platform: str
) -> None:
    made = config(fill(IO, format_))

    assert (made.backend, made.platform) == (backend, platform)


def test_the_sources_own_fields_win_over_ours() -> None:
    made = config(
        fill(
            'backend: "custom" max_batch_size: 2 instance_group { count: 3 kind: KIND_CPU }',
            max_batch_size=8,
            instance_count=1,
            instance_kind="GPU",
        )
    )

    assert (made.backend, made.max_batch_size) == ("custom", 2)
    assert [group.count for group in made.instance_group] == [3]


def test_an_explicit_zero_of_the_source_wins_too() -> None:
    assert config(fill("max_batch_size: 0", max_batch_size=8)).max_batch_size == 0


def test_fields_that_the_source_leaves_out_are_filled() -> None:
    made = config(
        fill(
            IO,
            max_batch_size=8,
            instance_count=2,
            instance_kind="CPU",
            revision_tag="0123abcd",
            dynamic_batching=QueueRequest(
                preferred_batch_sizes=[4, 8], max_queue_delay_microseconds=500
            ),
        )
    )

    assert made.max_batch_size == 8
    assert list(made.dynamic_batching.preferred_batch_size) == [4, 8]
    assert made.dynamic_batching.max_queue_delay_microseconds == 500
    assert [(group.count, group.kind) for group in made.instance_group] == [(2, KIND_CPU)]
    assert dict(made.metric_tags) == {"revision": "0123abcd"}


@pytest.mark.parametrize(
    ("queue", "bound"),
    [
        pytest.param(None, DEFAULT_MAX_QUEUE_SIZE, id="nothing said"),
        pytest.param(QueueRequest(), DEFAULT_MAX_QUEUE_SIZE, id="batching without a bound"),
        pytest.param(QueueRequest(max_queue_size=64), 64, id="the user's bound"),
    ],
)
def test_a_model_that_batches_has_a_bounded_queue(queue: QueueRequest | None, bound: int) -> None:
    made = config(fill(max_batch_size=8, dynamic_batching=queue))

    assert made.dynamic_batching.default_queue_policy.max_queue_size == bound


@pytest.mark.parametrize(
    ("format_", "is_on"),
    [
        (ModelFormat.ONNX, True),
        (ModelFormat.TENSORRT, True),
        (ModelFormat.TENSORFLOW, True),
        (ModelFormat.TORCHSCRIPT, False),
        (ModelFormat.OPENVINO, False),
        (ModelFormat.PYTHON, False),
    ],
)
@pytest.mark.parametrize("source", ["max_batch_size: 8", ""], ids=["source", "spec"])
def test_nothing_batches_unless_it_is_asked_to_or_triton_would(
    format_: ModelFormat, is_on: bool, source: str
) -> None:
    made = config(fill(IO + source, format_, max_batch_size=8))

    assert made.max_batch_size == 8
    assert made.HasField("dynamic_batching") is is_on


@pytest.mark.parametrize(
    ("source", "is_on"),
    [
        ('backend: "python"', False),
        ('backend: "fil"', False),
        ('platform: "pytorch_libtorch"', False),
        ('backend: "onnxruntime"', True),
        ('platform: "tensorrt_plan"', True),
    ],
)
def test_in_a_repository_the_backend_of_the_source_decides(source: str, is_on: bool) -> None:
    made = config(fill(f"{source} max_batch_size: 8", ModelFormat.REPOSITORY))

    assert made.HasField("dynamic_batching") is is_on


@pytest.mark.parametrize("format_", [ModelFormat.PYTHON, ModelFormat.TORCHSCRIPT])
def test_a_batcher_that_the_spec_asks_for_is_given(format_: ModelFormat) -> None:
    made = config(fill(f"{IO} max_batch_size: 8", format_, dynamic_batching=QueueRequest()))

    assert made.dynamic_batching.default_queue_policy.max_queue_size == DEFAULT_MAX_QUEUE_SIZE


def test_an_unbounded_queue_of_the_source_stays_but_is_said() -> None:
    filled = fill("max_batch_size: 8 dynamic_batching { }")

    assert config(filled).dynamic_batching.default_queue_policy.max_queue_size == 0
    assert any("max_queue_size" in warning for warning in filled.warnings)


@pytest.mark.parametrize(
    "scheduling", ["sequence_batching { }", "ensemble_scheduling { }"], ids=["sequence", "ensemble"]
)
def test_another_scheduler_of_the_source_is_never_replaced(scheduling: str) -> None:
    made = config(fill(f"max_batch_size: 8 {scheduling}", ModelFormat.REPOSITORY))

    assert made.WhichOneof("scheduling_choice") == scheduling.split(maxsplit=1)[0]


def test_batching_of_a_model_that_does_not_batch_is_an_error() -> None:
    with pytest.raises(JobFailure, match="found maxBatchSize 0, expected 1 or more") as refused:
        fill(dynamic_batching=QueueRequest())

    assert refused.value.reason == Reason.CONFIG_INVALID


@pytest.mark.parametrize(
    ("graph", "size"),
    [pytest.param(BATCHING, 4, id="it batches"), pytest.param(FIXED, 0, id="it does not")],
)
def test_an_onnx_graph_batches_as_triton_would_decide_itself(graph: OnnxGraph, size: int) -> None:
    assert config(fill(graph=graph)).max_batch_size == size


def test_zero_switches_batching_off_by_spelling_the_tensors_out() -> None:
    made = config(fill(graph=BATCHING, max_batch_size=0))

    assert made.max_batch_size == 0
    assert [list(item.dims) for item in made.input] == [[-1, 64]]
    assert [item.name for item in made.output] == ["label"]


def test_batching_against_the_graph_is_an_error_that_names_the_tensor() -> None:
    with pytest.raises(JobFailure, match=r"max_batch_size is 8.*'x' with dimensions \[1, 64\]"):
        fill(graph=FIXED, max_batch_size=8)


def test_name_and_version_policy_give_way_to_the_layout() -> None:
    filled = fill('name: "other" version_policy { specific { versions: 3 } }')

    assert config(filled).name == ""
    assert not config(filled).HasField("version_policy")
    assert len(filled.warnings) == 2


def test_a_field_that_the_schema_does_not_know_is_an_error_with_its_place() -> None:
    with pytest.raises(JobFailure, match=r"source config.pbtxt: 2:1 .*max_bath_size") as refused:
        fill('backend: "python"\nmax_bath_size: 8')

    assert refused.value.reason == Reason.CONFIG_INVALID


class TestRaw:
    def test_numbers_and_lists_are_replaced(self) -> None:
        filled = fill(
            "max_batch_size: 2 instance_group { count: 3 }",
            raw="max_batch_size: 16 instance_group { count: 1 }",
        )

        made = config(filled)
        assert (made.max_batch_size, [group.count for group in made.instance_group]) == (16, [1])
        assert filled.warnings == ["spec.model.config.raw overrides instance_group, max_batch_size"]

    def test_messages_are_merged_so_that_the_queue_stays_bounded(self) -> None:
        made = config(
            fill(max_batch_size=8, raw="dynamic_batching { max_queue_delay_microseconds: 7 }")
        )

        assert made.dynamic_batching.max_queue_delay_microseconds == 7
        assert made.dynamic_batching.default_queue_policy.max_queue_size == DEFAULT_MAX_QUEUE_SIZE

    def test_maps_are_merged_by_key(self) -> None:
        made = config(
            fill(
                'parameters { key: "a" value { string_value: "1" } }',
                raw='parameters { key: "b" value { string_value: "2" } }',
            )
        )

        assert set(made.parameters) == {"a", "b"}

    def test_a_zero_resets_a_number(self) -> None:
        made = config(fill("max_batch_size: 8", raw="max_batch_size: 0"))

        assert made.max_batch_size == 0

    def test_errors_name_the_field_of_the_spec(self) -> None:
        with pytest.raises(JobFailure, match=r"^spec\.model\.config\.raw: 1:1 "):
            fill(raw="nonsense: 1")


class TestScalars:
    GRAPH = OnnxGraph(
        inputs=(
            TensorSpec(name="x", datatype="FP32", dims=[-1, 64]),
            TensorSpec(name="sr", datatype="INT64", dims=[]),
        ),
        outputs=(TensorSpec(name="y", datatype="FP32", dims=[]),),
        scalars=frozenset({"sr"}),
    )

    @pytest.mark.parametrize("size", [None, 0])
    def test_a_scalar_is_refused_by_its_name(self, size: int | None) -> None:
        with pytest.raises(JobFailure, match="input 'sr' is a scalar") as refused:
            fill(graph=self.GRAPH, max_batch_size=size)

        assert refused.value.reason == Reason.CONFIG_INVALID

    def test_an_output_is_no_better(self) -> None:
        graph = OnnxGraph(FIXED.inputs, self.GRAPH.outputs, frozenset({"y"}))

        with pytest.raises(JobFailure, match="output 'y' is a scalar"):
            fill(graph=graph)

    def test_what_the_source_declares_is_left_to_triton(self) -> None:
        fill(
            'input { name: "x" data_type: TYPE_FP32 dims: [-1, 64] } '
            'input { name: "sr" data_type: TYPE_INT64 dims: [1] }',
            graph=self.GRAPH,
        )

    def test_a_tensor_of_unknown_rank_is_no_scalar(self) -> None:
        fill(graph=OnnxGraph(FIXED.inputs, self.GRAPH.outputs))


class TestWarmup:
    def test_inputs_come_from_the_graph_without_the_batch(self) -> None:
        (sample,) = config(fill(graph=BATCHING, max_batch_size=8, warmup_requests=20)).model_warmup

        assert (sample.batch_size, sample.count) == (1, 20)
        assert list(sample.inputs["x"].dims) == [64]
        assert sample.inputs["x"].zero_data

    @pytest.mark.parametrize(
        ("dims", "sent"),
        [([1, 64], [1, 64]), ([-1, 64], [1, 64]), ([-1], [1])],
        ids=["fixed", "a batch in all but name", "nothing but that"],
    )
    def test_a_graph_without_batching_gets_all_dimensions(
        self, dims: list[int], sent: list[int]
    ) -> None:
        graph = OnnxGraph((TensorSpec(name="x", datatype="BYTES", dims=dims),), FIXED.outputs)
        (sample,) = config(fill(graph=graph, warmup_requests=1)).model_warmup

        assert list(sample.inputs["x"].dims) == sent
        assert "TYPE_STRING" in str(sample)

    def test_a_batch_of_scalars_is_sent_as_triton_declares_it(self) -> None:
        graph = OnnxGraph((TensorSpec(name="x", datatype="INT64", dims=[-1]),), BATCHING.outputs)
        (sample,) = config(fill(graph=graph, warmup_requests=1)).model_warmup

        assert list(sample.inputs["x"].dims) == [1]

    @pytest.mark.parametrize("batched", [True, False])
    def test_sizes_that_vary_must_be_given(self, batched: bool) -> None:
        dims = [-1 if batched else 1, 3, -1, -1]
        outputs = BATCHING.outputs if batched else FIXED.outputs
        graph = OnnxGraph((TensorSpec(name="image", datatype="FP32", dims=dims),), outputs)
        shape = [3, 224, 224] if batched else [1, 3, 224, 224]

        with pytest.raises(JobFailure) as refused:
            fill(graph=graph, warmup_requests=1)
        (sample,) = config(
            fill(graph=graph, warmup_requests=1, warmup_shapes={"image": shape})
        ).model_warmup

        assert refused.value.reason == Reason.WARMUP_IMPOSSIBLE
        assert f"such as spec.model.warmup.shapes.image: {shape}" in str(refused.value)
        assert list(sample.inputs["image"].dims) == shape

    @pytest.mark.parametrize(
        ("shapes", "says"),
        [
            ({"y": [64]}, "names 'y', found the inputs x"),
            (
                {"x": [1, 64]},
                r"shapes.x is \[1, 64\], expected one that fits the dimensions \[64\]",
            ),
            ({"x": [32]}, r"shapes.x is \[32\], expected one that fits the dimensions \[64\]"),
        ],
        ids=["no such input", "another rank", "another size"],
    )
    def test_sizes_that_no_request_can_have_are_an_error(
        self, shapes: dict[str, list[int]], says: str
    ) -> None:
        with pytest.raises(JobFailure, match=says) as refused:
            fill(graph=BATCHING, warmup_requests=1, warmup_shapes=shapes)

        assert refused.value.reason == Reason.WARMUP_IMPOSSIBLE

    @pytest.mark.parametrize(
        ("datatype", "most"),
        [
            ("FP32", 536_870),
            ("INT8", 2_147_483),
            ("BOOL", 2_147_483),
            ("BYTES", 536_870),
            ("BF16", 1_073_741),
            ("UINT64", 268_435),
        ],
    )
    def test_a_request_that_no_memory_holds_is_an_error(self, datatype: str, most: int) -> None:
        tensor = TensorSpec(name="x", datatype=datatype, dims=[-1] * 3)
        graph = OnnxGraph((tensor,), BATCHING.outputs)

        fill(graph=graph, warmup_requests=1, warmup_shapes={"x": [1000, most]})
        with pytest.raises(JobFailure, match="expected at most 2,147,483,647") as refused:
            fill(graph=graph, warmup_requests=1, warmup_shapes={"x": [1000, most + 1]})

        assert refused.value.reason == Reason.WARMUP_IMPOSSIBLE

    def test_inputs_of_the_source_come_first_and_optional_ones_are_left_out(self) -> None:
        (sample,) = config(fill(IO, graph=BATCHING, warmup_requests=1)).model_warmup

        assert set(sample.inputs) == {"x"}

    def test_the_sources_own_warmup_stays(self) -> None:
        made = config(fill(IO + 'model_warmup { name: "mine" batch_size: 1 }', warmup_requests=9))

        assert [sample.name for sample in made.model_warmup] == ["mine"]

    def test_without_known_inputs_it_is_an_error(self) -> None:
        with pytest.raises(JobFailure) as refused:
            fill(format_=ModelFormat.PYTHON, declares_tensors=True, warmup_requests=1)

        assert refused.value.reason == Reason.WARMUP_IMPOSSIBLE

    def test_there_is_none_unless_it_is_requested(self) -> None:
        assert not config(fill(graph=BATCHING)).model_warmup


class TestSignature:
    def test_the_graph_says_what_a_client_sends(self) -> None:
        signature = fill(graph=BATCHING, max_batch_size=8).signature

        assert signature is not None
        assert [(item.name, item.dims) for item in signature.inputs] == [("x", [64])]
        assert [(item.datatype, item.dims) for item in signature.outputs] == [("INT64", [])]

    def test_the_config_says_more_than_the_graph(self) -> None:
        signature = fill(IO, graph=BATCHING).signature

        assert signature is not None
        assert [(item.datatype, item.optional) for item in signature.inputs] == [
            ("FP32", False),
            ("BYTES", True),
        ]

    def test_there_is_none_where_nothing_declares_it(self) -> None:
        assert fill(format_=ModelFormat.PYTHON, declares_tensors=True).signature is None


def test_the_same_order_gives_the_same_text() -> None:
    source = 'parameters { key: "b" value { } } parameters { key: "a" value { } }'

    assert len({fill(source, graph=BATCHING, warmup_requests=2).text for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("", "no input and no output"),
        (OUTPUT, "no input,"),
        ('input { name: "x" data_type: TYPE_FP32 dims: [64] }', "no output,"),
    ],
)
@pytest.mark.parametrize(
    ("format_", "example"),
    [
        (ModelFormat.TORCHSCRIPT, "INPUT__0"),
        (ModelFormat.FIL, "input__0"),
        (ModelFormat.PYTHON, "auto_complete_config"),
    ],
)
def test_a_format_that_does_not_say_its_tensors_is_asked_for_them(
    format_: ModelFormat, example: str, source: str, missing: str
) -> None:
    with pytest.raises(JobFailure) as refused:
        fill(source, format_)

    assert refused.value.reason == Reason.CONFIG_INVALID
    assert f"found {missing}" in str(refused.value)
    assert "spec.model.config.raw" in str(refused.value)
    assert example in str(refused.value)


def test_the_tensors_may_stand_in_the_raw_text_of_the_spec() -> None:
    made = config(fill(format_=ModelFormat.TORCHSCRIPT, raw=IO))

    assert [item.name for item in made.input] == ["x", "hint"]


def test_a_python_model_may_declare_its_tensors_itself() -> None:
    assert config(fill(format_=ModelFormat.PYTHON, declares_tensors=True)).backend == "python"


def test_a_plan_without_a_gpu_is_refused_where_that_is_known() -> None:
    with pytest.raises(JobFailure, match=r"spec\.server\.resources\.limits"):
        fill(format_=ModelFormat.TENSORRT, has_gpu=False)

    for known in (True, None):
        assert config(fill(format_=ModelFormat.TENSORRT, has_gpu=known)).platform == "tensorrt_plan"


@pytest.mark.parametrize(
    ("name", "model_type"),
    [
        ("xgboost.ubj", "xgboost_ubj"),
        ("xgboost.json", "xgboost_json"),
        ("xgboost.model", "xgboost"),
        ("model.txt", "lightgbm"),
        ("checkpoint.tl", "treelite_checkpoint"),
    ],
)
def test_trees_get_their_type_by_their_file_and_a_batch_size(name: str, model_type: str) -> None:
    made = config(fill(IO, ModelFormat.FIL, name=name))

    assert made.parameters["model_type"].string_value == model_type
    assert made.max_batch_size == 1024


def test_what_the_source_says_of_its_trees_counts() -> None:
    source = (
        IO
        + """
    max_batch_size: 9
    parameters { key: "model_type" value { string_value: "lightgbm" } }
    """
    )
    made = config(fill(source, ModelFormat.FIL, name="xgboost.json"))

    assert made.parameters["model_type"].string_value == "lightgbm"
    assert made.max_batch_size == 9


@pytest.mark.parametrize(
    ("asked", "reason", "field"),
    [
        ({"warmup_requests": 1}, Reason.WARMUP_IMPOSSIBLE, "model_warmup"),
        ({"instance_count": 2}, Reason.CONFIG_INVALID, "instance_group"),
    ],
)
def test_an_ensemble_leaves_warm_up_and_instances_to_its_models(
    asked: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(JobFailure) as refused:
        fill(f'{IO} platform: "ensemble"', ModelFormat.REPOSITORY, **asked)

    assert refused.value.reason == reason
    assert f"expected {field} in the config.pbtxt of the models" in str(refused.value)
