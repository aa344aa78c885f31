"""The page with the tokens of a viewer, an approver and an owner, on a real API server.

The rights are the chart's own roles and admission policies; what is refused, the API server
refuses. It has no operator: the test answers in its place.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect
from slipway.api.names import ANNOTATION_ACTION, ANNOTATION_ACTION_REASON
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl as UsersKubectl
from slipway.cli.main import ACTIONS
from slipway.cli.session import Session
from slipway.dashboard.command import choose_scope
from slipway.dashboard.fleet import Fleet
from slipway.dashboard.rights import RightsBook
from slipway.dashboard.server import DashboardPages
from slipway.dashboard.watches import Watches

from tests.bench.apiserver import run_api_server
from tests.cluster.progress import Progress
from tests.cluster.tools import helm as find_or_build_helm
from tests.cluster.tools import kubectl_of_node
from tests.contract.dashboard.conftest import Served, Window, run_server
from tests.contract.dashboard.story import recorded
from tests.install import helm
from tests.install.base import VALUES
from tests.kubectl import CLONE, Kubectl, until

pytestmark = pytest.mark.dashboard

NAMESPACE, NAME = "vision", "digits"
PAGE = f"/rollouts/{NAMESPACE}/{NAME}"
ROLES = {"viewer": "slipway-view", "approver": "slipway-approver", "owner": "slipway-owner"}
STRANGER = "stranger"
SECONDS = 30.0
REFUSED = "status of 502"
"""What the browser writes into its console about an action that the API server refused."""
ACT = """([verb, token, position]) => fetch("/api/actions", {
  method: "POST",
  headers: {authorization: `Bearer ${token}`, "content-type": "application/json"},
  body: JSON.stringify({
    namespace: "vision", name: "digits", verb, argument: "", reason: "forced", position,
  }),
}).then(async (answer) => [answer.status, (await answer.json()).message])"""
"""What a person does who does not care which buttons are grey."""


@dataclass
class Staff:
    """The API server, and a kubeconfig for each person."""

    admin: Kubectl
    place: Path

    def session(self, name: str) -> Session:
        flags = (f"--kubeconfig={self.place / name}",)
        return Session(UsersKubectl(flags, program=str(self.admin.program)))

    @property
    def digits(self) -> dict[str, Any]:
        found = self.admin.get(NAMESPACE, "modeldeployment", NAME)
        assert found is not None
        return found

    def annotation(self, name: str) -> str:
        return str(self.digits["metadata"].get("annotations", {}).get(name, ""))

    def answer(self, by: str) -> None:
        """Say Done, as the operator does."""
        asked = until(lambda: self.annotation(ANNOTATION_ACTION), "an action", SECONDS)
        number = int(asked.rpartition("#")[2])
        done = {"id": number, "verb": asked.partition("@")[0], "by": by, "result": "Done"}
        self.write_status({"lastAction": done})

    def write_status(self, status: dict[str, Any]) -> None:
        words = ("patch", "modeldeployment", NAME, "-n", NAMESPACE, "--subresource=status")
        self.admin.run(*words, "--type=merge", "-p", json.dumps({"status": status}))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staff]:
    place = tmp_path_factory.mktemp("people")
    with run_api_server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(find_or_build_helm(Progress()).parent), prepend=":")
        found = Staff(Kubectl(kubectl_of_node(), server.kubeconfig), place)
        define(found.admin)
        for name in (*ROLES, STRANGER):
            write_kubeconfig(found, name, yaml.safe_load(server.kubeconfig.read_text()))
        yield found


def define(admin: Kubectl) -> None:
    """Install the CRDs, and what the chart has about people; make the people and their roles."""
    admin.run("apply", "--server-side", "-k", str(CLONE / "crds"))
    admin.run("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
    separate = {"admission": {"separateRights": "Deny"}, "rbac": {"aggregate": False}}
    shown = ("templates/people.yaml", "templates/admission.yaml")
    chart = helm.template({**VALUES, **separate}, show_only=shown)
    admin.run("apply", "-f", "-", stdin=chart)
    admin.run("create", "namespace", NAMESPACE)
    for name in (*ROLES, STRANGER):
        admin.run("create", "serviceaccount", name, "-n", NAMESPACE)
    for name, role in ROLES.items():
        words = ("create", "rolebinding", name, "-n", NAMESPACE, f"--clusterrole={role}")
        admin.run(*words, f"--serviceaccount={NAMESPACE}:{name}")


def write_kubeconfig(people: Staff, name: str, config: dict[str, Any]) -> None:
    """Write a kubeconfig that has nothing but the person's token."""
    token = people.admin.run("create", "token", name, "-n", NAMESPACE).strip()
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = NAMESPACE
    (people.place / name).write_text(yaml.safe_dump(config))


@pytest.fixture
def waiting(people: Staff) -> Iterator[Staff]:
    """A rollout that waits for approval."""
    manifest = recorded("awaiting-approval", called=NAME, namespace=NAMESPACE)
    metadata = {"name": NAME, "namespace": NAMESPACE}
    people.admin.apply({**manifest, "metadata": metadata, "status": {}})
    people.write_status(manifest["status"])
    yield people
    people.admin.run("delete", "modeldeployment", NAME, "-n", NAMESPACE)


@contextmanager
def page_of(people: Staff, name: str, browser: Browser) -> Iterator[Page]:
    """Run the program with a person's token, as the command does, and open the rollout."""
    session = people.session(name)
    scope = choose_scope(session, everywhere=False, selector="")
    pages = DashboardPages(session, scope, Fleet(), RightsBook(session.kubectl))
    problems: list[CliError] = []

    def follow(loop: Any) -> Watches:
        return Watches(session, scope, pages.fleet, loop, problems.append)

    with run_server(pages, follow) as (address, loop):
        served = Served(address, pages, people.place, loop)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(60_000)
        yield Window(served, context).open(PAGE)
        context.close()
    others = [fault for fault in served.faults if REFUSED not in fault]
    assert (problems, others) == ([], [])


def act(page: Page, verb: str, people: Staff) -> tuple[int, str]:
    """Ask for an action without a button; return the status and what was said."""
    candidate = people.digits["status"]["candidate"]["revision"]
    position = f"{candidate}/{people.digits['status']['rollout']['step']}"
    token = page.evaluate("localStorage.getItem('token')")
    status, message = page.evaluate(ACT, [verb, token, position])
    return int(status), str(message)


@pytest.mark.parametrize(
    ("name", "allowed"), [("viewer", []), ("approver", ["approve"]), ("owner", [*ACTIONS])]
)
def test_buttons_are_what_the_api_server_lets_a_token_do(
    waiting: Staff, browser: Browser, name: str, allowed: list[str]
) -> None:
    with page_of(waiting, name, browser) as page:
        page.locator("#actions summary").click()
        free = page.locator("#actions button:not([aria-disabled])")
        assert sorted(free.all_inner_texts()) == sorted(allowed)

        page.goto(page.url.partition("/rollouts")[0])
        shown = f"namespace {NAMESPACE} as system:serviceaccount:{NAMESPACE}:{name}"
        expect(page.locator("#where")).to_have_text(shown)


@pytest.mark.parametrize(
    ("name", "verb", "said"),
    [
        pytest.param("viewer", "approve", "forbidden", id="a viewer approves"),
        pytest.param("approver", "abort", "modeldeployments/abort", id="an approver aborts"),
    ],
)
def test_who_forces_a_grey_button_is_refused_by_the_api_server(
    waiting: Staff, browser: Browser, name: str, verb: str, said: str
) -> None:
    with page_of(waiting, name, browser) as page:
        status, message = act(page, verb, waiting)

    assert status == 502
    assert said in message
    assert waiting.annotation(ANNOTATION_ACTION) == ""


def test_an_approval_has_the_name_of_the_token_and_the_reason(
    waiting: Staff, browser: Browser
) -> None:
    by = f"system:serviceaccount:{NAMESPACE}:approver"
    with page_of(waiting, "approver", browser) as page:
        page.locator("[data-verb=approve]").click()
        page.locator("#reason").fill("errors as on stable")
        page.locator("dialog button[type=submit]").click()
        waiting.answer(by)
        expect(page.locator("dialog .said")).to_have_text(f"approve by {by}: Done")

    assert waiting.annotation("slipway.dev/requested-by") == by
    assert waiting.annotation(ANNOTATION_ACTION_REASON).startswith("errors as on stable#")


def test_rights_that_are_given_while_the_page_is_open_are_seen(
    waiting: Staff, browser: Browser
) -> None:
    words = (f"--clusterrole={ROLES['owner']}", f"--serviceaccount={NAMESPACE}:viewer")
    with page_of(waiting, "viewer", browser) as page:
        assert act(page, "approve", waiting)[0] == 502  # after which rights are asked for anew
        waiting.admin.run("create", "rolebinding", "more", "-n", NAMESPACE, *words)
        page.reload()
        expect(page.locator("[data-verb=approve]:not([aria-disabled])")).to_be_visible()
        waiting.admin.run("delete", "rolebinding", "more", "-n", NAMESPACE)


def test_a_token_without_rights_ends_the_program_with_the_reason(people: Staff) -> None:
    words = ("dashboard", "--no-browser", f"--kubeconfig={people.place / STRANGER}")
    program = {"SLIPWAY_KUBECTL": str(people.admin.program), "PYTHONPATH": str(CLONE / "operator")}
    done = subprocess.run(
        [sys.executable, "-m", "slipway.cli", *words],
        env={**os.environ, **program},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert "forbidden" in done.stderr
