"""The page of the demo."""

import pytest

from tests.demo.page import BEGIN, END, PAGE, with_output
from tests.demo.report import Report
from tests.demo.versions import VERSIONS, render_model_deployment
from tests.pages import blocks, document_of


def test_output_replaces_what_was_between_the_marks() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    once = with_output(text, ["new  "], Report())

    assert "old" not in once
    assert "```text\nnew\n```" in once
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert with_output(once, ["new"], Report()) == once


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the output"):
        with_output("text", [], Report())


def test_the_page_has_its_marks() -> None:
    with_output(PAGE.read_text(), [], Report())
    assert BEGIN != END


def test_the_page_shows_the_model_deployment_that_the_demo_applies() -> None:
    shown = [document_of(block) for block in blocks("yaml") if block.page == PAGE]

    assert shown == [render_model_deployment(VERSIONS[1])]
