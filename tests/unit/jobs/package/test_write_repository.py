import hashlib
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import ConfigRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, make_tree, walk_files
from slipway.jobs.model_digest import hash_tree
from slipway.jobs.package.repository_plan import plan_model_repository
from slipway.jobs.package.write_repository import write_repository

ORDER = ConfigRequest(model_name="digits")
MODEL = b"def auto_complete_config(config): ..."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_bytes(MODEL)
    (folder / "labels.txt").write_text("seven")
    (folder / "1" / "model.py").chmod(0o600)
    return folder


def run(tree: Tree, into: Path) -> None:
    write_repository(plan_model_repository(tree, ORDER), tree, hash_tree(tree), into)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_private", [True, False], ids=["own files", "a claim"])
def test_the_repository_is_complete(tmp_path: Path, source: Path, is_private: bool) -> None:
    into = tmp_path / "models"

    run(make_tree(walk_files(source), is_private=is_private), into)

    assert files(into) == {"digits/1/model.py", "digits/config.pbtxt", "digits/labels.txt"}
    assert (into / "digits/1/model.py").read_bytes() == MODEL
    assert (into / "digits/1/model.py").stat().st_mode & 0o777 == 0o644
    assert files(source) == (set() if is_private else {"1/model.py", "labels.txt"})


def test_leftovers_of_an_earlier_attempt_are_gone(tmp_path: Path, source: Path) -> None:
    into = tmp_path / "models"
    (into / "digits" / "2").mkdir(parents=True)
    (into / "digits" / "2" / "model.py").write_text("of another version")

    run(make_tree(walk_files(source)), into)

    assert "digits/2/model.py" not in files(into)


def test_a_claim_that_changes_meanwhile_is_noticed(tmp_path: Path, source: Path) -> None:
    tree = make_tree(walk_files(source))
    found = hash_tree(tree)
    prepared = plan_model_repository(tree, ORDER)
    (source / "1" / "model.py").write_bytes(b"something else")
    assert hashlib.sha256(MODEL).hexdigest() in {file.sha256 for file in found.files}

    with pytest.raises(JobFailure) as refused:
        write_repository(prepared, tree, found, tmp_path / "models")

    assert (refused.value.reason, refused.value.transient) == (Reason.SOURCE_CHANGED, True)


def test_an_ensembles_version_directory_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "core" / "1").mkdir(parents=True)
    (folder / "core" / "1" / "model.py").write_bytes(MODEL)
    for name, text in (("core", 'backend: "python"'), ("digits", 'platform: "ensemble"')):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.pbtxt").write_text(text)

    run(make_tree(walk_files(folder)), tmp_path / "models")

    assert (tmp_path / "models/digits/1").is_dir()
    assert files(tmp_path / "models") == {
        "core/1/model.py",
        "core/config.pbtxt",
        "digits/config.pbtxt",
    }


@pytest.mark.parametrize("is_private", [True, False], ids=["own files", "a claim"])
def test_files_that_only_a_mac_reads_are_left_out_but_count_in_the_digest(
    tmp_path: Path, is_private: bool
) -> None:
    folder = tmp_path / "source"
    names = (
        "digits/1/model.py",
        "digits/1/._model.py",
        "digits/.DS_Store",
        "digits/labels.txt",
        "__MACOSX/._digits",
        "__MACOSX/digits/1/._model.py",
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(MODEL)
    tree = make_tree(walk_files(folder), is_private=is_private)
    plan = plan_model_repository(tree, ORDER)
    found = hash_tree(tree)

    write_repository(plan, tree, found, tmp_path / "models")

    assert files(tmp_path / "models") == {
        "digits/1/model.py",
        "digits/config.pbtxt",
        "digits/labels.txt",
    }
    assert len(found.files) == len(names)
    assert plan.warnings == ["left out __MACOSX/._digits and 3 more: only macOS reads such files"]
