"""Numbers of metrics have their unit, and shares say of what."""

import pytest
from slipway.api.modeldeployment import AnalysisStatus
from slipway.policy.analysis.judge import (
    CLIENT_ERRORS,
    ERRORS,
    FAR_NAMES,
    LATENCY,
    MEAN,
    TAIL,
    UPPER,
)
from slipway.policy.analysis.metrics.traffic_split import NAME as TRAFFIC

from tests.demo.timeline import describe_metric
from tests.demo.units import DESCRIPTIONS


@pytest.mark.parametrize(
    ("name", "numbers", "want"),
    [
        (ERRORS, (0.08, 0.0, 0.002), "errors Pass 8.0% vs 0.0%, limit 0.2%"),
        (TAIL, (0.009, 0.011, 0.063), "latency-p99 Pass 0.9% slow vs 1.1%, limit 6.3%"),
        (MEAN, (1.0, 1.0, 2.05), "latency-mean Pass 1.00 ms vs 1.00 ms, limit 2.05 ms"),
        (
            TRAFFIC,
            (1 / 3, 0.25, 0.2),
            "traffic Pass 33.3% of the answers at weight 25%, at least 20.0%",
        ),
        ("queue-length", (12.5, 3.0, 40.0), "queue-length Pass 12.5 vs 3, limit 40"),
    ],
)
def test_numbers_have_their_unit(name: str, numbers: tuple[float, ...], want: str) -> None:
    candidate, baseline, limit = numbers
    entry = AnalysisStatus(
        name=name, verdict="Pass", candidate=candidate, baseline=baseline, limit=limit
    )

    assert describe_metric(entry) == want


def test_a_metric_without_numbers_has_its_verdict_alone() -> None:
    assert describe_metric(AnalysisStatus(name=ERRORS, verdict="NoData")) == "errors undecided"


def test_every_metric_of_the_router_has_a_unit() -> None:
    assert set(DESCRIPTIONS) == {
        ERRORS,
        CLIENT_ERRORS,
        LATENCY,
        TAIL,
        UPPER,
        MEAN,
        TRAFFIC,
        *FAR_NAMES,
    }
