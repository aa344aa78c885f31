"""Ways back, put together from what watches showed."""

from slipway.api.base import Manifest

from tests.soak.sightings import Sightings

DECIDED = 1_795_970_000.0
STABLE, BAD = "aaaa0001", "bbbb0002"


def moment(seconds: float) -> str:
    """Return so many seconds after the decision, as the API writes it."""
    return f"2026-11-29T16:33:{20 + seconds:09.6f}Z"


def status(*, restored: float | None = None) -> Manifest:
    back = {"from": BAD, "to": STABLE, "trigger": "errors", "decidedAt": moment(0)}
    if restored is not None:
        back["trafficRestoredAt"] = moment(restored)
    return {"lastRollback": back}


def asked(weight: int) -> Manifest:
    backends = [
        {"revision": name, "weight": share, "service": name, "minEndpoints": 1}
        for name, share in ((STABLE, 100 - weight), (BAD, weight))
    ]
    return {"backends": backends}


def running(**proxies: tuple[int, float]) -> Manifest:
    """Return what proxies say: the weight of the bad one, and since when."""
    return {
        "proxies": [
            {
                "name": name,
                "uid": name,
                "generation": 2,
                "hash": "x",
                "effectiveWeights": {STABLE: 100 - weight, BAD: weight},
                "at": moment(at),
            }
            for name, (weight, at) in proxies.items()
        ]
    }


def test_a_way_back_says_when_each_part_of_it_was_done() -> None:
    seen = Sightings()
    seen.note_route(DECIDED - 5, "scans", asked(50), running(one=(50, -4), two=(50, -3)))
    seen.note_route(DECIDED + 0.1, "scans", asked(0), running(one=(50, -4), two=(50, -3)))
    seen.note_status(DECIDED + 0.2, "scans", status())
    seen.note_route(DECIDED + 0.3, "scans", asked(0), running(one=(0, 0.25), two=(50, -3)))
    seen.note_route(DECIDED + 0.9, "scans", asked(0), running(one=(0, 0.25), two=(0, 0.75)))
    seen.note_status(DECIDED + 1.0, "scans", status(restored=0.8))

    [way] = seen.ways_back("scans", since=DECIDED - 1)

    assert (way.decided, way.stored, way.written) == (DECIDED, DECIDED + 0.2, DECIDED + 0.1)
    assert way.acknowledged == {"one": DECIDED + 0.25, "two": DECIDED + 0.75}
    assert (way.restored, way.known) == (DECIDED + 0.8, DECIDED + 1.0)


def test_a_way_back_that_is_not_over_has_no_end() -> None:
    seen = Sightings()
    seen.note_route(DECIDED - 5, "scans", asked(50), running(one=(50, -4)))
    seen.note_status(DECIDED + 0.2, "scans", status())
    [way] = seen.ways_back("scans", since=DECIDED - 1)
    assert (way.written, way.restored, way.known, way.seconds) == (None,) * 4
    assert way.acknowledged == {}


def test_another_models_way_back_and_an_earlier_one_are_left_out() -> None:
    seen = Sightings()
    seen.note_status(DECIDED, "scans", status(restored=0.5))
    assert seen.ways_back("digits", since=0) == []
    assert seen.ways_back("scans", since=DECIDED + 1) == []
