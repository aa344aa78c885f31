"""What is wrong with a user's metrics for good, said before anything is asked."""

import pytest
from slipway.api.modeldeployment import Metric
from slipway.policy.analysis.external.validation import metrics_problem
from slipway.settings import PrometheusServer

from tests.unit.policy.analysis.test_readings import a_metric, a_pair

MAIN = PrometheusServer(name="main", url="http://p")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (a_metric(prometheus={"provider": "other", "query": "x"}), "expected one of main"),
        (
            a_pair(prometheus={"provider": "main", "bad": "b", "total": "t"}),
            "same for both revisions",
        ),
        (a_metric(prometheus={"provider": "main", "query": "{{x}}"}), "found the placeholder"),
        (a_metric(prometheus={"provider": "main", "query": "x"}), ""),
        (a_metric(), ""),
    ],
)
def test_what_can_never_be_asked_is_said_at_once(metric: Metric, words: str) -> None:
    problem = metrics_problem([metric], [MAIN], "vision")
    assert words in problem
    assert bool(problem) is bool(words)


def test_a_provider_of_another_namespace_does_not_exist() -> None:
    theirs = MAIN.model_copy(update={"namespaces": ["theirs"]})
    assert "expected none" in metrics_problem([a_metric()], [theirs], "vision")
    assert not metrics_problem([a_metric()], [theirs], "theirs")
