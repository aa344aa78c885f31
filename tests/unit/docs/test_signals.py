"""The page of signals has every reason that is about a candidate, in one list and no other."""

import re
from collections import Counter

from slipway.api.reasons import Group, Reason

from tests.pages import ROOT

PAGE = (ROOT / "docs/signals.md").read_text()
ABOUT_A_CANDIDATE = {Group.PODS, Group.JOB, Group.CHECK, Group.ANALYSIS, Group.PROVIDER}


def listed(heading: str) -> list[str]:
    """Return the reasons in the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| (`.+) \|$", section, re.MULTILINE)
    return re.findall(r"`(\w+)`", " ".join(rows))


def test_every_reason_about_a_candidate_stands_in_one_list() -> None:
    counted = Counter(listed("Rejects") + listed("Holds") + listed("Speaks for it"))
    expected = {reason.value for reason in Reason if reason.group in ABOUT_A_CANDIDATE}

    assert set(counted) == expected
    assert [reason for reason, times in counted.items() if times > 1] == []


def test_what_rejects_is_what_the_code_gives_with_a_fail() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "operator/slipway").rglob("*.py"))
    fails = set(re.findall(r"Verdict\.FAIL,\s*Reason\.(\w+)", sources))

    assert {Reason[name].value for name in fails} - {"PredictionsDrift"} <= set(listed("Rejects"))
