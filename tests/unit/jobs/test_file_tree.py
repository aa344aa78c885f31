from pathlib import Path

import pytest
from slipway.jobs.file_tree import TreeFile, make_tree, name_problem


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
