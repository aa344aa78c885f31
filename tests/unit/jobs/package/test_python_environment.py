"""Packed environments of Python models: found by what is in them, and asked for by their names."""

import io
import tarfile
from pathlib import Path

import pytest
from google.protobuf import text_format
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, make_tree, walk_files
from slipway.jobs.model_digest import hash_tree
from slipway.jobs.package.layer import make_layer, make_text_file
from slipway.jobs.package.repository_plan import RepositoryPlan, plan_model_repository
from slipway.jobs.package.write_repository import write_repository
from tritonclient.grpc.model_config_pb2 import ModelConfig

MODEL = b"def auto_complete_config(config): ..."
STUB = "triton_python_backend_stub"


def a_tar(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        link = tarfile.TarInfo("bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        tar.addfile(link)
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return made.getvalue()


PACKED = a_tar("./lib/python3.12/os.py", "./bin/activate")


def tree_of(folder: Path, files: dict[str, bytes]) -> Tree:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return make_tree(walk_files(folder))


def plan(folder: Path, files: dict[str, bytes], raw: str = "") -> RepositoryPlan:
    order = ConfigRequest(model_name="tokens", raw=raw or None)
    return plan_model_repository(tree_of(folder, files), order)


def environment_of(made: RepositoryPlan) -> str | None:
    config = text_format.Parse(made.config, ModelConfig())
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    return parameters.get("EXECUTION_ENV_PATH")


def naming(path: str) -> str:
    value = f'value {{ string_value: "{path}" }}'
    return f'parameters {{ key: "EXECUTION_ENV_PATH" {value} }}'


def refusal(folder: Path, files: dict[str, bytes], raw: str = "") -> str:
    with pytest.raises(JobFailure) as refused:
        plan(folder, files, raw)
    assert refused.value.reason == Reason.CONFIG_INVALID
    return str(refused.value)


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({"model.py": MODEL, "env.tar.gz": PACKED}, "1/env.tar.gz"),
        ({"1/model.py": MODEL, "env.tgz": PACKED}, "env.tgz"),
    ],
    ids=["beside a bare file", "in a model directory"],
)
def test_a_packed_environment_is_found_where_triton_will_look(
    tmp_path: Path, files: dict[str, bytes], value: str
) -> None:
    made = plan(tmp_path, files)

    assert environment_of(made) == f"$$TRITON_MODEL_DIRECTORY/{value}"
    assert f"runs in the packed environment {value}" in made.warnings


@pytest.mark.parametrize(
    "data",
    [a_tar("words.txt"), PACKED[:40], a_tar("words.txt")[:-8] + bytes(8), b"no archive"],
    ids=["other", "cut off", "damaged", "not one"],
)
def test_any_other_archive_is_data_that_the_model_reads(tmp_path: Path, data: bytes) -> None:
    made = plan(tmp_path, {"model.py": MODEL, "words.tar.gz": data})

    assert environment_of(made) is None


def test_an_environment_beside_another_format_means_nothing(tmp_path: Path) -> None:
    raw = 'input [{ name: "x" data_type: TYPE_FP32 dims: [3] }] output: [{ name: "y" }]'

    made = plan(tmp_path, {"1/model.pt": b"PK", "env.tar.gz": PACKED}, raw)

    assert environment_of(made) is None


def test_one_that_is_named_and_there_is_kept_as_it_is(tmp_path: Path) -> None:
    named = naming("$$TRITON_MODEL_DIRECTORY/b.tar.gz")

    files = {"1/model.py": MODEL, "a.tar.gz": PACKED, "b.tar.gz": PACKED}

    assert environment_of(plan(tmp_path, files, named)) == "$$TRITON_MODEL_DIRECTORY/b.tar.gz"


def test_one_of_the_servers_image_is_left_to_triton(tmp_path: Path) -> None:
    made = plan(tmp_path, {"1/model.py": MODEL}, naming("/opt/environments/tokens.tar.gz"))

    assert environment_of(made) == "/opt/environments/tokens.tar.gz"


def test_one_that_is_named_and_not_there_is_asked_for_before_anything_is_built(
    tmp_path: Path,
) -> None:
    files = {"1/model.py": MODEL, "1/env.tar.gz": PACKED, "data.tar.gz": a_tar("words.txt")}

    message = refusal(tmp_path, files, naming("$$TRITON_MODEL_DIRECTORY/data.tar.gz"))

    assert "EXECUTION_ENV_PATH names 'data.tar.gz' in the model's directory" in message
    assert "found the packed environments 1/env.tar.gz" in message
    assert "expected a .tar.gz with bin/activate" in message


def test_of_several_one_must_be_named(tmp_path: Path) -> None:
    files = {"1/model.py": MODEL, "a.tar.gz": PACKED, "b.tar.gz": PACKED}

    message = refusal(tmp_path, files)

    assert "found several packed environments, a.tar.gz, b.tar.gz" in message
    assert "as $$TRITON_MODEL_DIRECTORY/a.tar.gz" in message


def test_a_step_of_an_ensemble_must_have_the_one_that_it_names(tmp_path: Path) -> None:
    step = f'backend: "python" {naming("$$TRITON_MODEL_DIRECTORY/env.tar.gz")}'
    files = {
        "tokens/config.pbtxt": b'platform: "ensemble"',
        "prepare/config.pbtxt": step.encode(),
        "prepare/1/model.py": MODEL,
    }

    assert "source prepare/config.pbtxt: the parameter" in refusal(tmp_path / "without", files)
    assert plan(tmp_path / "with", {**files, "prepare/env.tar.gz": PACKED})


def test_triton_may_run_the_stub_of_another_python(tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "source", {"model.py": MODEL, STUB: b"\x7fELF"})
    made = plan_model_repository(tree, ConfigRequest(model_name="tokens"))

    write_repository(made, tree, hash_tree(tree), tmp_path / "models")
    layer = make_layer([make_text_file(f"models/tokens/{STUB}", "")])

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("models/tokens/*")}
    assert (modes[STUB], modes["config.pbtxt"]) == (0o755, 0o644)
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer.chunks(0)))) as tar:
        assert tar.getmember(f"models/tokens/{STUB}").mode == 0o755
