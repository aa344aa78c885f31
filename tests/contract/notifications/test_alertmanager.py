"""From an operator's metrics to people: a real Prometheus, a real Alertmanager, real receivers.

The rules are those of the chart without their waits, which tests/contract/install asks for; the
configuration is that of docs/notifications.md.
"""

import email
import email.policy
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.certificates import Authority
from tests.cluster import build
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.contract.registry import servers
from tests.install import base, helm
from tests.pages import ROOT, blocks
from tests.ports import free_port
from tests.unit.manager.exposition import Exposed, expose
from tests.unit.reconcile.world import OperatorWorld

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = build.Program(
    "alertmanager", "0.31.1", "github.com/prometheus/alertmanager/cmd/alertmanager"
)
"""The newest whose module has the pages that it is built with."""
PAGE = ROOT / "docs/notifications.md"
SECRETS = "/etc/alertmanager/secrets"
PASSWORD = "a-word-that-only-the-file-has"  # noqa: S105 -- of a server in this test
RELEASE_NAMESPACE = "slipway-system"
LONGEST_SECONDS = 60

pytestmark = [
    pytest.mark.notifications,
    pytest.mark.skipif(helm.find_helm() is None, reason="no Helm: on PATH, or from 'make cluster'"),
    pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus on PATH: Debian has it"),
]


@dataclass
class People:
    """What arrived in the channels and in the mailbox."""

    slack: list[dict[str, Any]] = field(default_factory=list)
    teams: list[dict[str, Any]] = field(default_factory=list)
    mails: list[tuple[Envelope, str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        self.mails.append((envelope, f"{message['Subject']}\n{body.get_content()}"))
        return "250 OK"

    def log_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, who: Any
    ) -> Any:
        assert isinstance(who, LoginPassword)
        self.logins.append((who.login.decode(), who.password.decode()))
        return AuthResult(success=who.password.decode() == PASSWORD)


class Web(ThreadingHTTPServer):
    """Metrics of an operator, and the webhooks of two channels."""

    def __init__(self, people: People, metrics: Callable[[], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.people, self.metrics = people, metrics
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self._answer(200, self.server.metrics(), "text/plain; version=0.0.4")

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"].startswith("application/json")
        if self.path == "/services/slack":
            assert sent.keys() & {"text", "blocks", "attachments"}
            self.server.people.slack.append(sent)
            self._answer(200, b"ok", "text/plain")
        else:
            assert self.path == "/workflows/teams"
            self.server.people.teams.append(sent)
            self._answer(202, b"", "text/plain")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


async def an_operator_whose_rollout_went_back() -> Exposed:
    world = OperatorWorld()
    world.clock.pass_on(max(0.0, time.time() - world.clock.seconds()))
    world.controllers.faults["2"] = "errors"
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2")
    await world.until(lambda: ("2", "RolledBack") in world.outcomes())
    exposed = expose(world)
    exposed.machine.elector.leading.set()  # it shows its objects, and may not write
    return exposed


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        build.build_programs([ALERTMANAGER], Progress())
    except ClusterError as problem:
        pytest.skip(str(problem))
    return ALERTMANAGER.path


@contextmanager
def serving(web: Web) -> Iterator[None]:
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


@contextmanager
def taking_mail(people: People, authority: Authority, folder: Path) -> Iterator[int]:
    """Take mails as a provider does: after STARTTLS and a password, not otherwise."""
    context = authority.server_context(folder)
    controller = Controller(
        people,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        auth_exclude_mechanism=["LOGIN"],  # its prompts are not those that clients expect
        authenticator=people.log_in,
    )
    controller.start()
    try:
        yield int(controller.port)
    finally:
        controller.stop()


@contextmanager
def running(port: int, *command: str | Path) -> Iterator[None]:
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        servers.wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def configuration_of_the_page(folder: Path, web: Web, smtp_port: int, authority: Authority) -> Path:
    """Return the page's configuration, with its secrets, for receivers on the loopback."""
    [block] = [it for it in blocks("yaml") if it.page == PAGE and "receivers:" in it.text]
    secrets = {
        "slack": f"{web.url}/services/slack",
        "teams": f"{web.url}/workflows/teams",
        "smtp": PASSWORD,
    }
    for name, content in secrets.items():
        (folder / name).write_text(content)
    (folder / "ca.crt").write_bytes(authority.pem)

    text = block.text.replace(SECRETS, str(folder))
    text = text.replace("smtp.example.com:587", f"127.0.0.1:{smtp_port}")
    config = yaml.safe_load(text)
    config["route"]["group_wait"] = "1s"
    [mail] = [it for receiver in config["receivers"] for it in receiver.get("email_configs", ())]
    mail["tls_config"] = {"ca_file": str(folder / "ca.crt")}

    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def rules_of_the_chart(folder: Path) -> Path:
    values = {**base.VALUES, "metrics": {"rules": {"enabled": True}}}
    spec = yaml.safe_load(helm.template(values, show_only=("templates/rules.yaml",)))["spec"]
    for rule in spec["groups"][0]["rules"]:
        rule.pop("for", None)
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def prometheus_config(folder: Path, web: Web, alertmanager_port: int) -> Path:
    target = web.url.removeprefix("http://")
    labels = {"namespace": RELEASE_NAMESPACE, "pod": "slipway-0"}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules_of_the_chart(folder))],
        "scrape_configs": [
            {
                "job_name": "slipway",
                "honor_labels": True,
                "static_configs": [{"targets": [target], "labels": labels}],
            }
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]
        },
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
async def told(program: Path, tmp_path: Path) -> People:
    """Return what people got, once it is there."""
    people, authority = People(), Authority.make()
    exposed = await an_operator_whose_rollout_went_back()
    web = Web(people, exposed.metrics.expose())
    metrics_port, port = free_port(), free_port()
    (tmp_path / "am").mkdir()

    with serving(web), taking_mail(people, authority, tmp_path) as smtp_port:
        config = configuration_of_the_page(tmp_path, web, smtp_port, authority)
        alertmanager = (
            *(program, f"--config.file={config}", f"--storage.path={tmp_path / 'am'}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
        )
        prometheus = (
            *(PROMETHEUS or "", f"--config.file={prometheus_config(tmp_path, web, port)}"),
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{metrics_port}",
        )
        with running(port, *alertmanager), running(metrics_port, *prometheus):
            wait_until(lambda: bool(people.mails))
            wait_until(lambda: "RolledBack" in json.dumps(people.slack))
            wait_until(lambda: "RolledBack" in json.dumps(people.teams))
    return people


async def test_people_hear_of_a_roll_back_and_of_an_operator_without_leader(told: People) -> None:
    summary = "vision/digits rolled back"

    texts = [attachment for it in told.slack for attachment in it["attachments"]]
    [rolled_back] = [it for it in texts if "SlipwayModelRolledBack" in it["title"]]
    assert rolled_back["title"] == "FIRING SlipwayModelRolledBack"
    assert rolled_back["text"].strip() == summary

    [card] = [it for it in told.teams if "RolledBack" in json.dumps(it)]
    [attachment] = card["attachments"]
    assert card["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    shown = [it["text"].strip() for it in attachment["content"]["body"]]
    assert shown == ["FIRING SlipwayModelRolledBack", summary]

    envelope, mail = told.mails[0]
    assert envelope.rcpt_tos == ["on-call@example.com"]
    assert envelope.mail_from == "slipway@example.com"
    assert told.logins[0] == ("slipway@example.com", PASSWORD)
    assert mail.startswith("[firing] No replica of the operator is the leader")
