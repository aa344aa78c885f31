"""Where the milliseconds of answers go, as `describe` says it."""

from dataclasses import replace

import pytest
from slipway.api.counters import Counters, Latency, latency_edges
from slipway.cli.latency import (
    LatencyReading,
    ServerTimes,
    compare_readings,
    read_routers,
)
from slipway.cli.latency_report import LatencyReport
from slipway.cli.read_latency import RIGHT, WINDOW_SECONDS
from slipway.cli.views.latency_table import format_latency

from tests.builders import counted
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import plain, recording

STABLE, CANDIDATE = "3a1e3eef", "6b04114e"
EDGES = latency_edges()


def histogram(answers: dict[int, int]) -> Latency:
    """Return a histogram with so many answers in the buckets of these upper edges."""
    counts = [answers.get(edge, 0) for edge in EDGES]
    return Latency(edges_millis=[float(edge) for edge in EDGES], counts=[*counts, 0])


def page(
    answers: dict[str, dict[int, int]], *, clients: dict[int, int] | None = None, start: str = "1"
) -> Counters:
    """Return a router's page with the answers of each revision by their bucket."""
    base = counted("router-a", dict.fromkeys(answers, (0, 0, 0)), start=start)
    routes = [
        route.model_copy(update={"latency": histogram(answers[route.revision])})
        for route in base.routes
    ]
    waited = histogram(clients) if clients is not None else None
    return base.model_copy(update={"routes": routes, "clients": waited})


def reading(
    document: Counters, at: float, servers: dict[str, ServerTimes] | None = None
) -> LatencyReading:
    times = {(revision, "pod"): found for revision, found in (servers or {}).items()}
    return replace(read_routers([document], "digits", at), servers=times)


def times(requests: int, *, queue: float, compute: float) -> ServerTimes:
    """Return what a server counts of requests that each took so many milliseconds."""
    return ServerTimes(requests, queue * requests * 1000, compute * requests * 1000)


def reported(before: LatencyReading, after: LatencyReading) -> LatencyReport:
    found = compare_readings(before, after)
    assert found is not None
    return found


def screen(found: LatencyReport | str | None) -> str:
    return plain(format_latency(found, recording("progressing").md, width=100))


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are prepared change at once."""
    monkeypatch.setattr("slipway.cli.read_latency.WINDOW_SECONDS", 0.0)


def test_only_what_came_between_the_readings_counts() -> None:
    before = reading(page({STABLE: {12: 900}}), 0.0, {STABLE: times(900, queue=0, compute=9)})
    late_times = ServerTimes(1_000, 100 * 30_000, 900 * 9_000 + 100 * 4_000)
    after = reading(page({STABLE: {12: 900, 36: 100}}), 2.0, {STABLE: late_times})

    found = reported(before, after)

    parts = found.parts[STABLE]
    assert (found.seconds, parts.requests, parts.median) == (2.0, 100, 36)
    assert parts.queue == pytest.approx(30.0)
    assert parts.compute == pytest.approx(4.0)


def test_without_a_request_between_them_it_is_all_since_the_start() -> None:
    same = page({STABLE: {12: 99, 44: 1}})
    found = reported(reading(same, 0.0), reading(same, 2.0))

    assert found.seconds is None
    assert (found.parts[STABLE].median, found.parts[STABLE].far) == (12, 12)
    assert "since the pods started" in screen(found)


def test_a_router_that_restarted_between_the_readings_says_nothing_of_the_window() -> None:
    before = reading(page({STABLE: {12: 900}}), 0.0)
    after = reading(page({STABLE: {12: 5}}, start="2"), 2.0)
    assert reported(before, after).seconds is None


def test_a_model_that_has_answered_nothing_has_no_table() -> None:
    empty = page({STABLE: {}})
    assert compare_readings(reading(empty, 0.0), reading(empty, 2.0)) is None
    assert screen(None) == ""


def test_what_clients_wait_beside_the_models_is_of_all_models() -> None:
    before = reading(page({STABLE: {}, CANDIDATE: {}}, clients={}), 0.0)
    now = page({STABLE: {12: 50}, CANDIDATE: {12: 50}}, clients={12: 50, 36: 50})
    found = reported(before, reading(now, 2.0))

    assert found.outside == pytest.approx(10.75)
    assert "clients wait 11 ms more" in screen(found)


@pytest.mark.parametrize(
    ("queue", "compute", "said"),
    [
        (25.0, 5.0, "78% of the mean is waiting in the server's queue: more replicas"),
        (5.0, 25.0, "78% of the mean is the model computing"),
        (5.0, 5.0, "69% of the mean is spent on the way to the server"),
        (15.0, 15.0, ""),
    ],
)
def test_the_part_that_is_most_of_the_time_is_named(
    queue: float, compute: float, said: str
) -> None:
    took = times(100, queue=queue, compute=compute)
    before = reading(page({STABLE: {}}), 0.0, {STABLE: ServerTimes()})
    found = reported(before, reading(page({STABLE: {36: 100}}), 2.0, {STABLE: took}))

    assert said in screen(found)
    assert ("% of the mean" in screen(found)) == bool(said)


def test_a_model_that_answers_in_a_millisecond_is_not_called_slow() -> None:
    took = times(100, queue=0.7, compute=0.4)
    before = reading(page({STABLE: {}}), 0.0, {STABLE: ServerTimes()})
    found = reported(before, reading(page({STABLE: {1: 100}}), 2.0, {STABLE: took}))

    assert "% of the mean" not in screen(found)
    assert found.parts[STABLE].mean == pytest.approx(1.1)  # the middle of its bucket is 0.5


def triton_page(requests: int, queue: float, compute: float) -> str:
    """Return Triton's page of a model called digits, and of another one that is never ours."""
    labels = '{model="digits",version="1"}'
    other = '{model="other",version="1"}'
    numbers = {
        "request_success": requests,
        "queue_duration_us": requests * queue * 1000,
        "compute_input_duration_us": 0,
        "compute_infer_duration_us": requests * compute * 1000,
        "compute_output_duration_us": 0,
    }
    return "".join(
        f"nv_inference_{name}{which} {value:g}\n"
        for name, value in numbers.items()
        for which in (labels, other)
    )


def row(shown: str, requests: int) -> list[str]:
    [found] = [
        it for it in map(str.split, shown.splitlines()) if it[:2] == ["stable", f"{requests}"]
    ]
    return found


def server_pod(name: str, revision: str, *, ready: str = "True") -> dict[str, object]:
    labels = {"slipway.dev/revision": revision}
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def test_describe_reads_both_pages_twice_and_says_why_it_is_slow(run: Program) -> None:
    routers = [page({STABLE: {12: 900}}), page({STABLE: {12: 900, 36: 100}})]
    servers = [triton_page(900, 0, 9), triton_page(1000, 3, 8.5)]
    run.change(
        pages={"router-a": [it.wire() for it in routers], "stable-a": servers},
        servers=[server_pod("stable-a", STABLE), server_pod("starting", STABLE, ready="False")],
    )

    shown = run("describe", "digits").out

    assert row(shown, 100)[-6:] == ["30", "ms", "4", "ms", "0", "ms"]
    assert "over the last " in shown
    assert "of the mean is waiting in the server's queue" in shown
    assert not [call for call in run.state["calls"] if "http:starting:8002" in " ".join(call)]


def test_the_help_of_describe_says_what_the_table_is_what_it_costs_and_what_it_needs(
    run: Program,
) -> None:
    said = " ".join(run("describe", "--help").out.split())

    assert "LATENCY says where the milliseconds of an answer go" in said
    assert f"read twice, {WINDOW_SECONDS:g} s apart" in said
    assert f"needs `get {RIGHT}`" in said


def test_who_may_not_read_the_pages_is_told_so_once_and_waits_for_nothing(run: Program) -> None:
    shown = run("describe", "digits").out
    assert "latency  not shown: you lack the right `get pods/proxy` here" in shown
    assert sum("--raw" in call for call in run.state["calls"]) == 1


def test_of_many_servers_some_are_asked_and_the_rest_is_counted(run: Program) -> None:
    pods = [server_pod(f"stable-{number:02}", STABLE) for number in range(11)]
    run.change(pages={"router-a": [page({STABLE: {12: 900}}).wire()]}, servers=pods)

    shown = run("describe", "digits").out

    assert "queue and compute without 3 more server pods" in shown
    assert row(shown, 900)[-3:] == ["-", "-", "-"]
