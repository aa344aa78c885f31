from slipway.agent.quarantine import RECOVERY_LOOKS, Quarantine
from slipway.render.envoy import Route

GOOD = Route("good", 10_000, (("aaaaaaaa", 100),))
BAD = Route("bad", 10_001, (("aaaaaaaa", 100),))
CHANGED = Route("bad", 10_002, (("aaaaaaaa", 100),))


def a_recovered_quarantine(*changed: Route) -> Quarantine:
    """Return one whose routes were blamed together, and which runs the earlier files again."""
    quarantine = Quarantine()
    quarantine.blame({route.name: route for route in changed})
    quarantine.end_recovery()
    return quarantine


def test_the_only_route_that_changed_is_to_blame() -> None:
    quarantine = Quarantine()

    assert quarantine.blame({"bad": BAD}) == "bad"
    assert set(quarantine.refused) == {"bad"}


def test_of_several_changed_routes_none_is_blamed_yet() -> None:
    quarantine = Quarantine()

    assert quarantine.blame({"good": GOOD, "bad": BAD}) is None
    assert not quarantine.refused


def test_nothing_is_written_during_a_recovery() -> None:
    quarantine = Quarantine()
    quarantine.blame({"bad": BAD})

    assert not quarantine.may_write(GOOD)


def test_a_recovery_ends_after_its_looks_at_the_latest() -> None:
    quarantine = Quarantine()
    quarantine.blame({"bad": BAD})

    for _ in range(RECOVERY_LOOKS):
        assert quarantine.is_recovering
        quarantine.count_look()

    assert not quarantine.is_recovering


def test_a_refused_route_is_written_again_only_once_it_changed() -> None:
    quarantine = a_recovered_quarantine(BAD)

    assert not quarantine.may_write(BAD)
    assert quarantine.may_write(CHANGED)


def test_suspects_are_written_one_at_a_time() -> None:
    quarantine = a_recovered_quarantine(GOOD, BAD)
    assert quarantine.may_write(GOOD)
    assert not quarantine.may_write(BAD)

    quarantine.acquit("good")

    assert quarantine.may_write(BAD)


def test_the_last_suspect_that_is_refused_alone_is_to_blame() -> None:
    quarantine = a_recovered_quarantine(GOOD, BAD)
    quarantine.acquit("good")

    assert quarantine.blame({"bad": BAD}) == "bad"
    assert not quarantine.has_suspects


def test_routes_that_are_gone_hold_up_no_other() -> None:
    quarantine = a_recovered_quarantine(GOOD, BAD)

    quarantine.keep_only({"bad"})

    assert quarantine.may_write(BAD)
