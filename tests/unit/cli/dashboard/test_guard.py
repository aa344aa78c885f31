"""Who is let in: no other site, no other user of the machine, and no name that was re-bound."""

import pytest
from slipway.dashboard.guard import find_refusal
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from tests.unit.cli.dashboard.conftest import ADDRESS, BEARER, TOKEN, Opened

OURS = {"host": "127.0.0.1:8900", "authorization": f"Bearer {TOKEN}"}
PATHS = ("/", "/rollouts/vision/digits", "/api/fleet", "/static/page.js")


@pytest.mark.parametrize("host", ["127.0.0.1:8900", "localhost:9000", "[::1]:8900", "localhost"])
def test_the_loopback_is_answered_by_its_names_whatever_port_is_forwarded(host: str) -> None:
    assert find_refusal("/api/fleet", Headers({**OURS, "host": host}), TOKEN) is None


@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:8900", "127.0.0.1.example:8900", "", "[::2]:80"]
)
@pytest.mark.parametrize("path", PATHS)
def test_a_name_that_was_re_bound_is_refused_with_the_right_token_too(path: str, host: str) -> None:
    refusal = find_refusal(path, Headers({**OURS, "host": host}), TOKEN)
    assert refusal is not None
    assert refusal[0] == 421


@pytest.mark.parametrize(
    "given", [{}, {"authorization": "Bearer of-yesterday"}, {"authorization": TOKEN}]
)
@pytest.mark.parametrize("path", ["/api/fleet", "/api/rollouts/vision/digits", "/api/actions"])
def test_without_the_token_nothing_of_the_cluster_is_told(
    opened: Opened, path: str, given: dict[str, str]
) -> None:
    client = TestClient(opened.client.app, base_url=ADDRESS, headers=given)
    answer = client.get(path)

    assert answer.status_code == 401
    assert "digits" not in answer.text


@pytest.mark.parametrize(
    "sent",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "http://127.0.0.1:8901"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_origin_is_refused_also_one_on_the_loopback(
    opened: Opened, sent: dict[str, str]
) -> None:
    opened.program.change(answers=["Done"])
    answer = opened.client.post("/api/actions", json={"verb": "abort"}, headers=sent)

    assert answer.status_code == 403
    assert not [call for call in opened.program.state.get("calls", []) if "annotate" in call]


@pytest.mark.parametrize("path", ["/", "/rollouts/vision/digits", "/static/page.js"])
def test_pages_carry_nothing_of_the_cluster_and_load_nothing_from_elsewhere(
    opened: Opened, path: str
) -> None:
    answer = TestClient(opened.client.app, base_url=ADDRESS).get(path)
    policy = answer.headers["content-security-policy"]

    assert answer.status_code == 200
    assert "digits" not in answer.text
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


def test_an_answer_of_the_guard_has_its_headers_too(opened: Opened) -> None:
    answer = TestClient(opened.client.app, base_url=ADDRESS).get("/api/fleet")
    assert "content-security-policy" in answer.headers


def test_files_outside_of_the_package_are_not_served(opened: Opened) -> None:
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd"):
        assert opened.client.get(path, headers=BEARER).status_code == 404
