"""When the traffic was back: as the proxies say, as far as that can be."""

from datetime import UTC, datetime, timedelta

import pytest
from slipway.policy.rollout.rolling_back import restored_at

DECIDED = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
SEEN = DECIDED + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("reported", "expected", "why"),
    [
        ([0.2, 0.7], 0.7, "the last proxy counts, however late the operator saw it"),
        ([0.2, None], 0.2, "a proxy that did not say when is left out"),
        ([-40.0, 0.7], 0.7, "a clock that is late makes nothing earlier"),
        ([-40.0, -50.0], 0.0, "nothing is back before it was decided"),
        ([0.2, 90.0], 30.0, "nothing is back after it was seen"),
        ([], 30.0, "without a proxy it is when it was seen"),
    ],
)
def test_the_traffic_was_back_when_the_last_proxy_says(
    reported: list[float | None], expected: float, why: str
) -> None:
    moments = [None if at is None else DECIDED + timedelta(seconds=at) for at in reported]
    assert restored_at(DECIDED, SEEN, moments) == DECIDED + timedelta(seconds=expected), why
