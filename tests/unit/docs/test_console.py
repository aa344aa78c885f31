"""Commands that the pages show are run by a test, or a mark before them says why not.

The mark is an HTML comment in the line before the block: ``<!-- not run: needs your registry -->``.
"""

import subprocess
from pathlib import Path

import pytest
from slipway.jobs.file_tree import make_tree, walk_files
from slipway.jobs.model_digest import hash_tree

from tests.pages import PAGES, ROOT, RUN_BY, Block, blocks, commands_run_by, consoles, runner_of

ALL = blocks("console")
HERE = commands_run_by(__file__)
MAKE = [command for command in HERE if command.startswith("make ")]
DIGEST = [command for command in HERE if command.startswith("find ")]


@pytest.mark.parametrize("block", consoles(), ids=lambda block: block.name)
def test_every_command_is_run_or_a_mark_says_why_not(block: Block) -> None:
    assert [command for command in block.commands if not runner_of(command)] == []


def test_a_mark_is_for_commands() -> None:
    marks = sum(page.read_text().count("\n<!-- not run: ") for page in PAGES)

    assert marks == sum(bool(block.not_run) for block in ALL)


@pytest.mark.parametrize("path", sorted(set(RUN_BY.values())))
def test_who_runs_commands_takes_them_from_the_pages(path: str) -> None:
    assert "commands_run_by(__file__)" in (ROOT / path).read_text()


@pytest.mark.parametrize("command", MAKE)
def test_make_knows_the_steps_of_a_target(command: str) -> None:
    done = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", DIGEST)
def test_a_digest_is_what_the_documented_command_prints(command: str, tmp_path: Path) -> None:
    for name in ("config.pbtxt", "1/model.onnx", "1/Zebra"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)

    said = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    digest = hash_tree(make_tree(walk_files(tmp_path))).digest
    assert digest == f"sha256:{said.stdout.split()[0]}"
