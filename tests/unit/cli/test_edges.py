"""What comes in from outside: odd objects, hostile strings, kubectl's complaints."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from slipway.cli import main as program
from slipway.cli.cli_error import ExitCode
from slipway.cli.kubectl_completion import complete_words
from slipway.cli.kubectl_errors import NotFound, explain_failure
from slipway.cli.kubectl_watch import split_documents
from slipway.cli.objects import parse_model_deployment
from slipway.cli.session import has_colours
from slipway.cli.text import make_table
from slipway.cli.time_format import format_age, format_duration, parse_duration
from slipway.cli.views.description import format_description
from slipway.cli.views.styles import draw_sparkline, format_figure

from tests.builders import NOON
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import command_line, plain, recording


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        {"rollout": None, "conditions": {}, "stable": "1"},
        {"rollout": {"analysis": [None, {"name": 1}], "step": "x", "startedAt": "soon"}},
    ],
)
def test_an_odd_object_is_shown_as_far_as_it_is_known(status: object) -> None:
    md = parse_model_deployment(
        {"metadata": {"name": "digits", "namespace": "vision"}, "status": status}
    )
    assert "vision/digits" in plain(format_description(md, NOON, command_line))


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    manifest = recording("rejected").manifest
    manifest["status"]["conditions"][1]["message"] = "\x1b]0;owned\x07\x1b[2Jgone\nnext"
    shown = plain(format_description(parse_model_deployment(manifest), NOON, command_line))

    assert "]0;owned  [2Jgone next" in shown
    assert not set(shown) & {"\x1b", "\x07"}


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        ('Error from server (NotFound): x "y" not found', ExitCode.NOT_FOUND, "not found"),
        (
            'error: the server doesn\'t have a resource type "modeldeployments"',
            ExitCode.ERROR,
            "Slipway is not installed",
        ),
        (
            'Error from server (Forbidden): x is forbidden: User "editor-b" cannot list resource',
            ExitCode.ERROR,
            "forbidden: x is forbidden",
        ),
        (
            'E1122 memcache.go:265] "Unhandled Error"\nUnable to connect to the server: EOF',
            ExitCode.ERROR,
            "cannot reach the cluster: Unable to connect to the server: EOF",
        ),
        (
            "Error in configuration: context was not found for specified context: nope",
            ExitCode.ERROR,
            "kubectl: context was not found for specified context: nope",
        ),
        (
            'Error from server (Forbidden): x is forbidden: ValidatingAdmissionPolicy "y" denied',
            ExitCode.ERROR,
            "the API server denied the change",
        ),
        ("", ExitCode.ERROR, "failed without a message"),
    ],
)
def test_complaints_become_sentences(said: str, code: ExitCode, expected: str) -> None:
    problem = explain_failure(said)
    assert problem.code is code
    assert expected in problem.message
    assert problem.hint.startswith("kubectl ") or isinstance(problem, NotFound)


def test_a_stream_of_objects_is_read_on_one_line_or_many() -> None:
    lines = ['{"a": 1}\n', "{\n", '  "b": {\n', "  }\n", "}\n"]
    assert list(split_documents(lines)) == ['{"a": 1}\n', '{\n  "b": {\n  }\n}\n']


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.6, "1m"), (250, "4m10s"), (11_100, "3h5m"), (187_200, "2d4h"), (-3, "0s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_age(NOON - timedelta(seconds=seconds), NOON) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1h30m", 5400), ("0.5s", 0.5), ("soon", None), ("", None), ("5x", None)],
)
def test_durations_are_read(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_a_bar_in_the_upper_half_is_above_the_limit() -> None:
    assert draw_sparkline([0.0, 0.1, 0.2, 0.9], 0.1) == "▁▅██"
    assert draw_sparkline([0.0, 0.0], None) == "▁▁"


def test_shares_are_percent_and_other_numbers_are_not() -> None:
    assert [format_figure("errors", value) for value in (0.0012, 0.2, None)] == [
        "0.12%",
        "20.0%",
        "-",
    ]
    assert format_figure("queue", 12.3456) == "12.35"
    assert format_figure("latency-p99", 0.0012) == "0.12%"
    assert format_figure("latency-mean", 12.3456) == "12.35 ms"


def test_the_last_column_is_cut_to_the_terminal() -> None:
    rows = plain(make_table(("A", "B"), [("x", "a long reason")], width=10)).splitlines()
    assert rows == ["A  B", "x  a long…"]


@pytest.mark.parametrize(
    ("wish", "terminal", "no_colour", "expected"),
    [
        ("auto", True, "", True),
        ("auto", True, "1", False),
        ("auto", False, "", False),
        ("always", False, "1", True),
        ("never", True, "", False),
    ],
)
def test_colours(
    wish: str, terminal: bool, no_colour: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")

    assert has_colours(wish, terminal=terminal) is expected


def test_kubectls_completion_gets_commands_flags_and_names(run: Program) -> None:
    assert [line.partition("\t")[0] for line in complete_words(["de"])] == ["describe", ":4"]
    assert complete_words(["describe", "dig"]) == ["digits", ":4"]
    assert complete_words(["describe", "-n", "vi"]) == ["vision", ":4"]
    assert "--all-namespaces" in "".join(complete_words(["get", "--all"]))
    assert run.state["calls"]


def test_rollback_completes_what_served_before(run: Program) -> None:
    run.put("digits", recording("twice").manifest)

    assert complete_words(["rollback", "digits", ""]) == [
        "1\trevision 3a1e3eef",
        "3a1e3eef\tversion 1",
        ":4",
    ]
    assert complete_words(["rollback", "digits", "3"]) == ["3a1e3eef\tversion 1", ":4"]
    assert complete_words(["rollback", "nobody", ""]) == [":4"]
    assert "stage=Baking" in complete_words(["wait", "digits", "--for", "stage=B"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: Program, shell: str) -> None:
    assert "_KUBECTL_SLIPWAY_COMPLETE" in run("completion", shell).out


def test_the_start_imports_nothing_heavy() -> None:
    code = (
        "import sys, importlib\n"
        "from slipway.cli.main import ACTIONS, COMMANDS, slipway\n"
        "for name in [*COMMANDS, *ACTIONS]: slipway.get_command(None, name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(program.__file__).parents[2]
    )
    heavy = {"pydantic", "yaml", "asyncio", "kubernetes", "kopf", "aiohttp", "numpy", "uvicorn"}

    assert not heavy & set(done.stdout.split())
