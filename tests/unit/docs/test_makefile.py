"""The Makefile's own traps."""

import re

from tests.pages import ROOT


def test_no_step_has_a_quote_that_would_end_its_shell_string() -> None:
    steps = re.findall(r"\$\(call step,(.*)\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert steps
    assert [step for step in steps if "'" in step] == []
