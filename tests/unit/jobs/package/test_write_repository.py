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
MODEL = b"print('a python model')"


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
