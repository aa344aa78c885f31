"""Reasons on hand-written pages say what the enum says."""

import pytest
from slipway.api.reasons import Group, Reason

from tests.install.helm import ROOT

ANALYSIS = (ROOT / "docs/analysis.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
METRICS_AND_HOOKS = (ROOT / "docs/metrics-and-hooks.md").read_text()


def of(*groups: Group) -> list[Reason]:
    return [reason for reason in Reason if reason.group in groups]


@pytest.mark.parametrize("reason", of(Group.ANALYSIS))
def test_the_page_of_the_analysis_explains_what_a_metric_says(reason: Reason) -> None:
    assert f"| `{reason}` | {reason.meaning} |" in ANALYSIS


@pytest.mark.parametrize("reason", of(Group.STALL, Group.TROUBLE))
def test_the_page_for_operators_says_what_to_do_about_trouble(reason: Reason) -> None:
    assert f"| `{reason}` | {reason.meaning} | {reason.remedy} |" in OPERATIONS


@pytest.mark.parametrize("reason", of(Group.PROVIDER))
def test_the_page_of_metrics_names_why_an_answer_is_no_number(reason: Reason) -> None:
    assert f"`{reason}`" in METRICS_AND_HOOKS
