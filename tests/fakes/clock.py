"""A clock that stands still until a test moves it."""

from datetime import datetime, timedelta

from tests.builders import NOON


class FakeClock:
    """Fits `slipway.reconcile.ports.Clock`."""

    def __init__(self, moment: datetime = NOON) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment

    def seconds(self) -> float:
        return self._moment.timestamp()

    def pass_on(self, seconds: float) -> None:
        self._moment += timedelta(seconds=seconds)
