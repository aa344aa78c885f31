import pytest
from slipway.api.reasons import Reason
from slipway.api.request import ModelFormat
from slipway.errors import JobFailure
from slipway.render.model_formats import Declared
from slipway.render.model_repository import Layout, find_config, plan_layout

NOTHING = Declared()
ONNX, PYTHON, REPOSITORY = ModelFormat.ONNX, ModelFormat.PYTHON, ModelFormat.REPOSITORY


def plan(
    names: list[str], asked: ModelFormat | None = None, declared: Declared = NOTHING
) -> Layout:
    return plan_layout(sorted(names), "digits", asked, declared)


def moves(layout: Layout) -> dict[str, str]:
    return {
        place.source: place.target.removeprefix("digits/")
        for place in (*layout.weights, *layout.extras)
    }


@pytest.mark.parametrize(
    ("names", "format_", "want"),
    [
        pytest.param(["resnet50.onnx"], ONNX, {"resnet50.onnx": "1/model.onnx"}, id="a bare file"),
        pytest.param(
            ["m.PLAN"], ModelFormat.TENSORRT, {"m.PLAN": "1/model.plan"}, id="a bare engine"
        ),
        pytest.param(["m.pt"], ModelFormat.TORCHSCRIPT, {"m.pt": "1/model.pt"}, id="TorchScript"),
        pytest.param(
            ["silero_vad.jit"],
            ModelFormat.TORCHSCRIPT,
            {"silero_vad.jit": "1/model.pt"},
            id="TorchScript by its other name",
        ),
        pytest.param(
            ["model.py", "words.txt"],
            PYTHON,
            {"model.py": "1/model.py", "words.txt": "1/words.txt"},
            id="a Python model with its data",
        ),
        pytest.param(
            ["model.onnx", "model.onnx_data"],
            ONNX,
            {"model.onnx": "1/model.onnx", "model.onnx_data": "1/model.onnx_data"},
            id="weights beside the graph",
        ),
        pytest.param(["t.ubj"], ModelFormat.FIL, {"t.ubj": "1/xgboost.ubj"}, id="XGBoost"),
        pytest.param(["t.tl"], ModelFormat.FIL, {"t.tl": "1/checkpoint.tl"}, id="Treelite"),
        pytest.param(["model.txt"], ModelFormat.FIL, {"model.txt": "1/model.txt"}, id="LightGBM"),
        pytest.param(
            ["net.xml", "net.bin"],
            ModelFormat.OPENVINO,
            {"net.xml": "1/model.xml", "net.bin": "1/model.bin"},
            id="OpenVINO's two files",
        ),
        pytest.param(
            ["saved_model.pb", "variables/v"],
            ModelFormat.TENSORFLOW,
            {
                "saved_model.pb": "1/model.savedmodel/saved_model.pb",
                "variables/v": "1/model.savedmodel/variables/v",
            },
            id="a saved model's content",
        ),
        pytest.param(
            ["x.savedmodel/saved_model.pb"],
            ModelFormat.TENSORFLOW,
            {"x.savedmodel/saved_model.pb": "1/model.savedmodel/saved_model.pb"},
            id="a saved model of another name",
        ),
        pytest.param(
            ["config.pbtxt", "model.onnx"],
            ONNX,
            {"model.onnx": "1/model.onnx"},
            id="a config beside the file",
        ),
        pytest.param(
            ["config.pbtxt", "1/model.onnx", "labels.txt", "warmup/x.bin"],
            ONNX,
            {
                "1/model.onnx": "1/model.onnx",
                "labels.txt": "labels.txt",
                "warmup/x.bin": "warmup/x.bin",
            },
            id="a model directory",
        ),
        pytest.param(["7/model.onnx"], ONNX, {"7/model.onnx": "1/model.onnx"}, id="version 7"),
    ],
)
def test_sources_become_a_model_directory_of_version_one(
    names: list[str], format_: ModelFormat, want: dict[str, str]
) -> None:
    layout = plan(names)

    assert layout.format is format_
    assert moves(layout) == want


def test_weights_and_configuration_are_kept_apart() -> None:
    layout = plan(["config.pbtxt", "1/model.onnx", "labels.txt"])

    assert [place.source for place in layout.weights] == ["1/model.onnx"]
    assert [place.source for place in layout.extras] == ["labels.txt"]
    assert layout.model_file == "1/model.onnx"


def test_a_file_name_that_the_config_gives_is_kept() -> None:
    layout = plan(
        ["1/net.onnx", "1/other.onnx"], declared=Declared(default_model_filename="net.onnx")
    )

    assert moves(layout)["1/net.onnx"] == "1/net.onnx"
    assert layout.model_file == "1/net.onnx"


def test_the_config_decides_between_a_python_model_and_its_data() -> None:
    layout = plan(["1/model.py", "1/model.onnx"], declared=Declared(backend="python"))

    assert layout.format is PYTHON


@pytest.mark.parametrize("asked", [None, REPOSITORY])
def test_files_of_an_unknown_backend_stay_as_they_are(
    asked: ModelFormat | None,
) -> None:
    layout = plan(["config.pbtxt", "1/weights.bin"], asked, Declared(backend="mine"))

    assert layout.format is REPOSITORY
    assert moves(layout) == {"1/weights.bin": "1/weights.bin"}


@pytest.mark.parametrize("asked", [None, ModelFormat.FIL])
def test_trees_with_a_config_stay_as_they_are(asked: ModelFormat | None) -> None:
    layout = plan(["config.pbtxt", "1/trees.json"], asked, Declared(backend="fil"))

    assert layout.format is ModelFormat.FIL
    assert moves(layout) == {"1/trees.json": "1/trees.json"}


def test_what_lies_beside_another_model_is_no_tree() -> None:
    layout = plan(["1/model.onnx", "1/model.txt", "1/xgboost.json"])

    assert layout.format is ONNX


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("trees.json", "xgboost.json"),
        ("trees.model", "xgboost.model"),
        ("trees.txt", "model.txt"),
        ("trees.ubj", "xgboost.ubj"),
    ],
)
def test_trees_of_any_name_are_taken_where_the_spec_says_that_they_are_trees(
    name: str, target: str
) -> None:
    layout = plan([name], ModelFormat.FIL)

    assert moves(layout) == {name: f"1/{target}"}


@pytest.mark.parametrize(
    ("found", "named", "taken", "left_out"),
    [
        pytest.param([1, 2], (), 2, "1", id="the newest"),
        pytest.param([2, 10, 9], (), 10, "2, 9", id="the newest as a number"),
        pytest.param([1, 2, 3], (1, 2), 2, "1, 3", id="the newest that the policy names"),
        pytest.param([1, 2], (7, 1), 1, "2", id="the one that the policy names"),
    ],
)
def test_of_several_versions_tritons_choice_is_served_and_said(
    found: list[int], named: tuple[int, ...], taken: int, left_out: str
) -> None:
    names = ["config.pbtxt", "labels.txt", *(f"{version}/model.onnx" for version in found)]

    layout = plan(names, declared=Declared(versions=named))

    assert moves(layout) == {f"{taken}/model.onnx": "1/model.onnx", "labels.txt": "labels.txt"}
    assert layout.notes == (
        f"took version directory {taken} and left out {left_out}: a server has one version",
    )


ENSEMBLE = Declared(platform="ensemble")


def test_an_ensemble_gets_the_version_directory_that_sources_lose() -> None:
    names = ["core/config.pbtxt", "core/1/model.onnx", "digits/config.pbtxt", "digits/labels.txt"]

    layout = plan(names, declared=ENSEMBLE)

    assert layout.folders == ("digits/1",)
    assert [place.target for place in layout.weights] == ["core/1/model.onnx"]
    assert [place.target for place in layout.extras] == ["digits/labels.txt", "core/config.pbtxt"]


def test_an_ensemble_beside_the_model_gets_one_too() -> None:
    names = ["digits/config.pbtxt", "digits/1/model.onnx", "pipeline/config.pbtxt"]

    assert plan(names).folders == ("pipeline/1",)


@pytest.mark.parametrize("backend", ["tensorrtllm", "identity"])
def test_a_backend_may_need_no_file_in_the_version_directory(backend: str) -> None:
    layout = plan(["config.pbtxt"], declared=Declared(backend=backend))

    assert (layout.weights, layout.folders) == ((), ("digits/1",))


def test_a_version_directory_with_files_needs_no_other() -> None:
    layout = plan(["config.pbtxt", "1/.gitkeep"], declared=ENSEMBLE)

    assert (moves(layout), layout.folders) == ({"1/.gitkeep": "1/.gitkeep"}, ())


def test_what_is_no_part_of_a_model_is_left_out_and_said() -> None:
    layout = plan(["README.md", "docs/a.md", "digits/config.pbtxt", "digits/1/model.onnx"])

    assert layout.notes == ("left out README.md, docs/a.md: no part of a model",)


def test_a_repository_of_several_models_is_taken_over() -> None:
    names = [
        "README.md",
        "digits/config.pbtxt",
        "digits/3/model.py",
        "encoder/config.pbtxt",
        "encoder/1/model.onnx",
        "encoder/2/model.onnx",
    ]
    layout = plan(names, declared=Declared(backend="python"))

    assert find_config(names, "digits") == "digits/config.pbtxt"
    assert layout.format is REPOSITORY
    assert {place.source: place.target for place in layout.weights} == {
        "digits/3/model.py": "digits/1/model.py",
        "encoder/1/model.onnx": "encoder/1/model.onnx",
        "encoder/2/model.onnx": "encoder/2/model.onnx",
    }
    assert [place.target for place in layout.extras] == ["encoder/config.pbtxt"]


@pytest.mark.parametrize(
    ("names", "asked", "declared", "reason", "says"),
    [
        pytest.param(
            ["readme.txt"], None, NOTHING, Reason.LAYOUT_UNKNOWN, "readme.txt", id="no model"
        ),
        pytest.param(
            ["config.pbtxt", "1/model.onnx", "2/model.onnx"],
            None,
            Declared(versions=(7, 8)),
            Reason.LAYOUT_UNKNOWN,
            "version_policy of config.pbtxt names versions 7, 8, found version directories 1, 2",
            id="two versions, and the policy names others",
        ),
        pytest.param(
            ["a.onnx", "b.onnx"],
            None,
            NOTHING,
            Reason.LAYOUT_UNKNOWN,
            "a.onnx, b.onnx, expected one, or one called model.onnx",
            id="two files of a format",
        ),
        pytest.param(
            ["model.py", "model.onnx"],
            None,
            NOTHING,
            Reason.LAYOUT_UNKNOWN,
            "set spec.model.format",
            id="two formats",
        ),
        pytest.param(
            ["model.onnx"],
            ModelFormat.TENSORRT,
            NOTHING,
            Reason.FORMAT_MISMATCH,
            "expected a model of format TensorRT (*.plan, *.engine), found model.onnx",
            id="another format than asked for",
        ),
        pytest.param(
            ["config.pbtxt", "1/model.onnx"],
            ONNX,
            Declared(backend="python"),
            Reason.FORMAT_MISMATCH,
            "spec.model.format is ONNX, the source's config.pbtxt says backend 'python'",
            id="the config contradicts the order",
        ),
        pytest.param(
            ["config.pbtxt", "1/model.onnx"],
            None,
            Declared(platform="tensorrt_plan"),
            Reason.FORMAT_MISMATCH,
            "found model.onnx",
            id="the config contradicts the files",
        ),
        pytest.param(
            ["config.pbtxt", "1/a.onnx"],
            None,
            Declared(backend="onnxruntime", default_model_filename="b.onnx"),
            Reason.LAYOUT_UNKNOWN,
            "names the model file 'b.onnx', found a.onnx",
            id="the config names another file",
        ),
        pytest.param(
            ["a/1/model.onnx", "b/1/model.onnx"],
            None,
            NOTHING,
            Reason.LAYOUT_UNKNOWN,
            "found the models a, b, expected one of them to be 'digits'",
            id="a repository without our model",
        ),
        pytest.param(
            ["digits/1/model.onnx", "b/1/model.onnx"],
            ONNX,
            NOTHING,
            Reason.FORMAT_MISMATCH,
            "found a repository of 2 models",
            id="a repository where a model was asked for",
        ),
    ],
)
def test_a_layout_that_does_not_fit_is_reported_with_found_and_expected(
    names: list[str], asked: ModelFormat | None, declared: Declared, reason: Reason, says: str
) -> None:
    with pytest.raises(JobFailure) as refused:
        plan(names, asked, declared)

    assert refused.value.reason == reason
    assert says in str(refused.value)


def test_a_long_listing_is_cut() -> None:
    with pytest.raises(JobFailure, match="and 15 more"):
        plan([f"f{index:02}.txt" for index in range(20)])


def test_an_environment_stays_in_the_model_directory_where_its_config_looks_for_it() -> None:
    layout = plan(["config.pbtxt", "environment.tar.gz", "1/model.py"])

    assert moves(layout)["environment.tar.gz"] == "environment.tar.gz"
