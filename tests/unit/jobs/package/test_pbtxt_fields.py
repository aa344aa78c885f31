import pytest
from slipway.jobs.package.pbtxt_fields import top_level_fields


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("", set(), id="nothing"),
        pytest.param('backend: "x"', {"backend"}, id="a number or text"),
        pytest.param("max_batch_size:0", {"max_batch_size"}, id="an explicit default"),
        pytest.param(
            "dynamic_batching { max_queue_size: 1 }", {"dynamic_batching"}, id="a message"
        ),
        pytest.param('input [{ name: "a" }]', {"input"}, id="a list of messages"),
        pytest.param("input: [{ dims: [ 1, 2 ] }]", {"input"}, id="a list with a colon"),
        pytest.param("parameters: < key: 'a' >", {"parameters"}, id="angle brackets"),
        pytest.param("# backend: 1\nname: 'x' # platform: 2", {"name"}, id="comments"),
        pytest.param(
            r"""name: "a \" platform: {" backend: 'b' """, {"name", "backend"}, id="quotes"
        ),
        pytest.param('name: "a" "b" "c" backend: "d"', {"name", "backend"}, id="joined texts"),
        pytest.param("a: KIND_CPU b: -1; c: 1.5, d: true", {"a", "b", "c", "d"}, id="in one line"),
        pytest.param("a { b { c: 1 } } d: 1", {"a", "d"}, id="nested"),
    ],
)
def test_fields_outside_all_braces_are_found(text: str, want: set[str]) -> None:
    assert top_level_fields(text) == want
