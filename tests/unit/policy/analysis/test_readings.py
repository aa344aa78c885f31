"""From answers to readings: what is sound, and what only holds."""

from typing import Any

import pytest
from slipway.api.modeldeployment import Metric
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.external.answer import Answer, Series
from slipway.policy.analysis.external.query import Arm, Arms, build_queries
from slipway.policy.analysis.external.readings import pair_counters, read_answers
from slipway.policy.analysis.inputs import Valued
from slipway.settings import PrometheusServer

ARMS = Arms(Arm("digits", "vision", "bbbbbbbb", "2"), Arm("digits", "vision", "aaaaaaaa", "1"))
BROKEN = Why(Reason.PROVIDER_TIMEOUT, "no answer within 5 s")
NOTHING: Answer = ()
MAIN = PrometheusServer(name="main", url="http://p")


def a_metric(**fields: Any) -> Metric:
    query = {"provider": "main", "query": 'x{r="{{revision}}"}'}
    return Metric.model_validate({"name": "m", "prometheus": query, "max": 1.0, **fields})


def a_pair(**fields: Any) -> Metric:
    pair = {"provider": "main", "bad": "b{{revision}}", "total": "t{{revision}}"}
    return Metric.model_validate({"name": "m", "prometheus": pair, **fields})


def one(value: float, **labels: str) -> Answer:
    return (Series(labels, value),)


def test_both_revisions_are_asked_the_candidate_first() -> None:
    assert build_queries(a_metric(), ARMS) == ('x{r="bbbbbbbb"}', 'x{r="aaaaaaaa"}')
    assert build_queries(a_pair(), ARMS) == ("bbbbbbbbb", "tbbbbbbbb", "baaaaaaaa", "taaaaaaaa")


@pytest.mark.parametrize(
    ("metric", "answers", "expected"),
    [
        (a_metric(), (one(2), one(1)), Valued(2, 1)),
        (a_metric(), (one(2), NOTHING), Valued(2)),
        (a_metric(), (NOTHING, one(1)), "SeriesMissing"),
        (a_metric(), (BROKEN, one(1)), "ProviderTimeout"),
        (a_metric(), (one(float("nan")), one(1)), "NotANumber"),
        (a_metric(max=None, max_increase=0.2), (one(2), NOTHING), "SeriesMissing"),
        (a_pair(), (one(1), one(9), one(2), BROKEN), "ProviderTimeout"),
        (a_pair(), (one(1), NOTHING, one(2), one(9)), "SeriesMissing"),
    ],
)
def test_what_is_not_sound_is_missing_with_its_reason(
    metric: Metric, answers: tuple[Answer, ...], expected: object
) -> None:
    found = read_answers(metric, answers)
    assert (found.reason if isinstance(found, Why) else found) == expected


def test_a_missing_reading_names_the_provider_and_the_revision() -> None:
    found = read_answers(a_metric(), (BROKEN, one(1)))
    assert isinstance(found, Why)
    assert found.message == "Prometheus main, about the candidate: no answer within 5 s"


def test_pairs_are_told_apart_by_their_labels() -> None:
    totals = (Series({"pod": "a"}, 90.0), Series({"pod": "b"}, 10.0))
    bads = (Series({"pod": "b"}, 1.0), Series({"pod": "a"}, 4.0))
    found = pair_counters(bads, totals)
    assert not isinstance(found, Why)
    assert sorted((count.total, count.bad) for count in found.values()) == [(10, 1), (90, 4)]


@pytest.mark.parametrize(
    ("bad", "total", "reason"),
    [
        (one(1, pod="a"), one(9, pod="b"), "SeriesMissing"),
        (one(1), (Series({"pod": "a"}, 9), Series({"pod": "b"}, 9)), "SeriesMissing"),
        (one(99), one(9), "BadExceedsTotal"),
        (one(-1), one(9), "NegativeCounter"),
        (one(1), one(float("inf")), "NotANumber"),
        (one(1), tuple(Series({"pod": str(n)}, 9) for n in range(17)), "TooManySeries"),
        (one(1), (Series({"__name__": "a"}, 9), Series({"__name__": "b"}, 9)), "TooManySeries"),
    ],
)
def test_pairs_that_do_not_belong_together_are_missing(
    bad: Answer, total: Answer, reason: str
) -> None:
    found = pair_counters(bad, total)
    assert isinstance(found, Why)
    assert found.reason == reason


def test_counters_read_one_after_the_other_may_differ_by_a_few() -> None:
    found = pair_counters(one(12), one(10))
    assert not isinstance(found, Why)
    assert [(count.total, count.bad) for count in found.values()] == [(10, 10)]
