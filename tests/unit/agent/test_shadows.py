"""Which requests Envoy copies, and what the comparer is asked."""

import json
import os
import time
from pathlib import Path

import pytest
from slipway.agent.desired import DesiredRoute
from slipway.agent.shadow_metrics import render_shadow_metrics
from slipway.agent.shadows import SMALLEST_SHARE, Sampling, Shadows, count_copies, order_of
from slipway.api.modelroute import ModelRouteSpec, Shadow
from slipway.api.pairs import DroppedCopies, Pairs, RouteCopies
from slipway.api.shadow_orders import FILE, PAGE_FILE, ShadowOrders

SINCE = "2026-11-29T09:00:00Z"


def a_route(*, stable: int = 100, candidate: int = 0, **shadow: object) -> DesiredRoute:
    spec = {
        "port": 10_000,
        "model": "digits",
        "backends": [
            {"revision": "aaaaaaaa", "service": "a", "weight": stable, "minEndpoints": 1},
            {"revision": "bbbbbbbb", "service": "b", "weight": candidate, "minEndpoints": 1},
        ],
        "shadow": {"revision": "bbbbbbbb", **shadow} if shadow else None,
    }
    found = ModelRouteSpec.model_validate(spec)
    return DesiredRoute("digits", "u", 1, SINCE, found, own=None)


def write_page(folder: Path, taken: int, age_seconds: float = 0) -> None:
    copies = [RouteCopies(name="digits", candidate="bbbbbbbb", since=SINCE, taken=taken)]
    page = Pairs(proxy="router-0", start="1", copies=copies)
    path = folder / PAGE_FILE
    path.write_text(page.model_dump_json(by_alias=True))
    written = time.time() - age_seconds
    os.utime(path, (written, written))


def a_sampling(percent: int = 100, most: int = 20) -> Sampling:
    shadow = Shadow(revision="bbbbbbbb", percent=percent, max_pairs_per_second=most)
    return Sampling(shadow, percent * 10_000)


def test_the_share_is_halved_until_what_comes_fits_and_doubled_when_little_comes() -> None:
    sampling, taken, rate = a_sampling(), 0, 1000.0
    shares = []
    for _ in range(12):
        sampling.adapt(taken, 1.0)
        taken += int(rate * sampling.per_million / 1_000_000)
        shares.append(sampling.per_million)
    settled = rate * shares[-1] / 1_000_000
    assert 15 <= settled <= 40
    assert shares[-1] == shares[-4], "it settles"

    for _ in range(12):
        sampling.adapt(taken, 1.0)
    assert sampling.per_million == 1_000_000


def test_a_comparer_that_restarts_counts_from_nothing_and_changes_no_share() -> None:
    sampling = a_sampling()
    sampling.adapt(10_000, 1.0)
    sampling.adapt(5, 1.0)
    assert sampling.per_million == 1_000_000


def test_the_share_is_never_above_the_order_and_never_nothing() -> None:
    sampling = a_sampling(percent=10)
    for _ in range(5):
        sampling.adapt(0, 1.0)
    assert sampling.per_million == 100_000
    for number in range(50):
        sampling.adapt(number * 1_000_000, 1.0)
    assert sampling.per_million == SMALLEST_SHARE


def test_nothing_is_copied_while_the_comparer_is_silent(tmp_path: Path) -> None:
    shadows = Shadows("router-0", tmp_path)
    shadows.follow([a_route(percent=50)])
    assert (shadows.look(), shadows.per_million("digits")) == (False, 0)
    write_page(tmp_path, taken=0)
    assert (shadows.look(), shadows.per_million("digits")) == (True, 500_000)
    write_page(tmp_path, taken=0, age_seconds=60)
    assert (shadows.look(), shadows.per_million("digits")) == (True, 0)


def test_orders_lie_in_the_file_while_there_are_any(tmp_path: Path) -> None:
    shadows = Shadows("router-0", tmp_path)
    shadows.follow([a_route(percent=50)])
    found = ShadowOrders.model_validate(json.loads((tmp_path / FILE).read_text()))
    assert (found.proxy, found.orders) == ("router-0", [order_of(a_route(percent=50))])
    shadows.follow([a_route()])
    assert not (tmp_path / FILE).exists()
    assert shadows.per_million("digits") is None


@pytest.mark.parametrize(
    ("weights", "stable"), [((100, 0), "aaaaaaaa"), ((95, 5), None), ((0, 0), None)]
)
def test_an_order_names_stable_only_where_one_revision_has_all_of_the_weight(
    weights: tuple[int, int], stable: str | None
) -> None:
    order = order_of(a_route(stable=weights[0], candidate=weights[1], percent=50))
    assert order is not None
    assert order.stable == stable


def test_without_a_comparer_nothing_is_copied_and_nothing_written(tmp_path: Path) -> None:
    shadows = Shadows("router-0", None)
    shadows.follow([a_route(percent=50)])
    assert shadows.per_million("digits") is None
    assert shadows.page() == Pairs(proxy="router-0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{half", '{"proxy": 3}', "[" * 10_000])
def test_a_page_that_is_none_is_an_empty_one(tmp_path: Path, content: str) -> None:
    (tmp_path / PAGE_FILE).write_text(content)
    assert Shadows("router-0", tmp_path).page() == Pairs(proxy="router-0")


def test_envoys_counts_are_read_by_route() -> None:
    prefix = "http.router.ext_proc.digits"
    stats = [
        {"name": f"{prefix}.streams_started", "value": 9},
        {"name": f"{prefix}.streams_failed", "value": 2},
        {"name": "http.router.ext_proc.letters.streams_started", "value": 0},
        {"name": "http.router.downstream_rq_total", "value": 5},
    ]
    assert count_copies(stats) == ({"digits": 9}, {"digits": 2})


def test_a_router_that_never_copied_has_no_metrics_of_copies() -> None:
    assert render_shadow_metrics(Pairs(proxy="router-0")) == ""


def test_metrics_say_what_became_of_copies() -> None:
    dropped = DroppedCopies(size=3)
    copies = RouteCopies(name="digits", candidate="bbbbbbbb", since=SINCE, dropped=dropped)
    text = render_shadow_metrics(Pairs(proxy="router-0", copies=[copies], lost={"digits": 2}))
    labels = 'route="digits",revision="bbbbbbbb",reason="size"'
    assert f"slipway_router_shadow_copies_dropped_total{{{labels}}} 3" in text
    assert 'slipway_router_shadow_copies_lost_total{route="digits"} 2' in text
