from pathlib import Path

import pytest
from slipway.jobs.file_tree import TreeFile, leave_out_mac_files, make_tree, name_problem


@pytest.mark.parametrize(
    ("names", "want"),
    [
        pytest.param(["model.onnx"], ["model.onnx"], id="one file stays"),
        pytest.param(["d/model.onnx"], ["model.onnx"], id="a single top directory is entered"),
        pytest.param(["a/b/model.onnx"], ["model.onnx"], id="also when it holds just another"),
        pytest.param(["d/1/model.onnx"], ["1/model.onnx"], id="a version directory stays"),
        pytest.param(
            ["model.savedmodel/saved_model.pb"],
            ["model.savedmodel/saved_model.pb"],
            id="a model that is a directory stays",
        ),
        pytest.param(["a/x", "b/x"], ["a/x", "b/x"], id="two directories stay"),
        pytest.param(["a/x", "README"], ["README", "a/x"], id="a file beside it keeps it"),
        pytest.param(["d/B", "d/a", "d/Z"], ["B", "Z", "a"], id="byte order, not the alphabet's"),
    ],
)
def test_trees_start_where_the_content_does(names: list[str], want: list[str]) -> None:
    tree = make_tree(TreeFile(name, Path("/data") / name) for name in names)

    assert list(tree.names) == want
    assert all(str(file.path).endswith(file.name) for file in tree.files)


@pytest.mark.parametrize(
    ("names", "want"),
    [
        pytest.param(["._m.onnx", "m.onnx"], ["m.onnx"], id="tar on a Mac"),
        pytest.param(
            ["__MACOSX/._m", "__MACOSX/m/1/._x", "m/config.pbtxt", "m/1/x"],
            ["1/x", "config.pbtxt"],
            id="Finder, which hides the single top directory",
        ),
        pytest.param([".DS_Store", "1/.DS_Store", "1/x"], ["1/x"], id="a folder that was opened"),
        pytest.param([".hidden", "a._b"], [".hidden", "a._b"], id="none of them"),
    ],
)
def test_files_that_only_a_mac_reads_are_left_out(names: list[str], want: list[str]) -> None:
    tree, said = leave_out_mac_files(make_tree(TreeFile(name, Path(name)) for name in names))

    assert list(tree.names) == want
    assert bool(said) is (len(names) != len(want))


@pytest.mark.parametrize(
    "name",
    ["/a", "a/../b", "..", "", ".", "a/.wh.b", "a\\b", "a\nb", "a\x00b", "x" * 256, "x/" * 600],
    ids=repr,
)
def test_names_from_outside_are_checked(name: str) -> None:
    assert name_problem(name) is not None


@pytest.mark.parametrize(
    "name", ["a", "a/b.onnx", "./a", "..a/b", "gr\u00f6\u00dfe", ".hidden", "a b"]
)
def test_ordinary_names_are_fine(name: str) -> None:
    assert name_problem(name) is None
