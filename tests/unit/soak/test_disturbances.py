"""Disturbances come again and again until they are stopped, and each is remembered."""

import threading
from collections.abc import Callable

from tests.kubectl import KubectlError
from tests.soak.disturbances import Disturber

SOON = 0.001
IN_TIME = 20.0


def disturb_until_the_third(answer: Callable[[], bool]) -> Disturber:
    """Return what a disturber remembers of three disturbances."""
    disturber, done, count = Disturber(), threading.Event(), 0

    def disturb() -> bool:
        nonlocal count
        count += 1
        if count == 3:
            disturber.stop()
            done.set()
        return answer()

    thread = threading.Thread(target=disturber.repeat, args=("killed", disturb, SOON))
    thread.start()
    assert done.wait(IN_TIME)
    thread.join(IN_TIME)
    return disturber


def test_a_disturbance_comes_again_until_it_is_stopped() -> None:
    disturber = disturb_until_the_third(lambda: True)
    assert [event.what for event in disturber.events] == ["killed"] * 3
    assert all(event.began <= event.ended for event in disturber.events)
    assert disturber.missed == 0


def test_one_that_could_not_be_made_is_counted_apart() -> None:
    disturber = disturb_until_the_third(lambda: False)
    assert (disturber.events, disturber.missed) == ([], 3)


def test_one_that_fails_does_not_end_the_others() -> None:
    def fail() -> bool:
        raise KubectlError("no answer")

    disturber = disturb_until_the_third(fail)
    assert (disturber.events, disturber.missed) == ([], 3)
