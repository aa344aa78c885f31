import pytest
from slipway.api.result import Signature, TensorSpec
from slipway.jobs.check.signature import read_signature, signature_differences


def an_input(name: str, *dims: int, datatype: str = "FP32", optional: bool = False) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, dims=list(dims), optional=optional)


STABLE = Signature(
    inputs=[an_input("pixels", -1, 64), an_input("scale", -1, 1, optional=True)],
    outputs=[an_input("label", -1, 1, datatype="INT64")],
)


def with_inputs(*inputs: TensorSpec) -> Signature:
    return STABLE.model_copy(update={"inputs": list(inputs)})


PIXELS, SCALE = STABLE.inputs


def test_the_same_signature_differs_in_nothing() -> None:
    assert signature_differences(STABLE, STABLE) == []


@pytest.mark.parametrize(
    "candidate",
    [
        with_inputs(SCALE, PIXELS),
        with_inputs(PIXELS, SCALE, an_input("mask", -1, 64, optional=True)),
        with_inputs(PIXELS.model_copy(update={"optional": True}), SCALE),
    ],
    ids=["another order", "an added optional input", "an input became optional"],
)
def test_what_no_client_notices_is_allowed(candidate: Signature) -> None:
    assert signature_differences(STABLE, candidate) == []


@pytest.mark.parametrize(
    ("candidate", "text"),
    [
        (with_inputs(PIXELS), "input 'scale' is gone"),
        (with_inputs(PIXELS, SCALE, an_input("mask", 1)), "input 'mask' is new and required"),
        (
            with_inputs(an_input("pixels", -1, 32), SCALE),
            "input 'pixels' has dims [-1, 32], but [-1, 64] on stable",
        ),
        (
            with_inputs(an_input("pixels", 64), SCALE),
            "input 'pixels' has dims [64], but [-1, 64] on stable",
        ),
        (
            with_inputs(an_input("pixels", -1, 64, datatype="FP16"), SCALE),
            "input 'pixels' is FP16, but FP32 on stable",
        ),
        (
            with_inputs(PIXELS, an_input("scale", -1, 1)),
            "input 'scale' is required, but optional on stable",
        ),
        (STABLE.model_copy(update={"outputs": []}), "output 'label' is gone"),
        (
            STABLE.model_copy(update={"outputs": [*STABLE.outputs, an_input("score", -1)]}),
            "output 'score' is new",
        ),
    ],
)
def test_what_a_client_notices_is_named(candidate: Signature, text: str) -> None:
    assert signature_differences(STABLE, candidate) == [text]


def test_grpc_writes_shapes_as_text() -> None:
    metadata = {
        "inputs": [{"name": "pixels", "datatype": "FP32", "shape": ["-1", "64"]}],
        "outputs": [],
    }
    assert read_signature(metadata, None).inputs == [PIXELS]


def test_without_the_configuration_every_input_counts_as_required() -> None:
    metadata = {"inputs": [{"name": "scale", "datatype": "FP32", "shape": [-1, 1]}]}
    config = {"input": [{"name": "scale", "optional": True}]}

    assert [tensor.optional for tensor in read_signature(metadata, None).inputs] == [False]
    assert [tensor.optional for tensor in read_signature(metadata, config).inputs] == [True]


@pytest.mark.parametrize(
    ("stable", "candidate", "differs"),
    [(32, 4, True), (32, 32, False), (4, 32, False), (None, 4, False), (32, None, False)],
)
def test_a_smaller_batch_limit_is_a_difference(
    stable: int | None, candidate: int | None, *, differs: bool
) -> None:
    before = STABLE.model_copy(update={"max_batch_size": stable})
    after = STABLE.model_copy(update={"max_batch_size": candidate})

    found = signature_differences(before, after)

    assert bool(found) is differs
    if differs:
        assert found == ["max_batch_size is 4, but 32 on stable (spec.model.config.maxBatchSize)"]


def test_the_batch_limit_is_read_from_the_configuration() -> None:
    assert read_signature({}, {"max_batch_size": 8}).max_batch_size == 8
    assert read_signature({}, {}).max_batch_size == 0
    assert read_signature({}, None).max_batch_size is None
