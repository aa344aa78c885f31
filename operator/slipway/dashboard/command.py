"""The command dashboard: serves the page on the loopback until Ctrl-C, and opens a browser."""

import importlib.util
import secrets
import socket
import sys
import tempfile
import webbrowser
from contextlib import ExitStack, suppress
from html import escape
from pathlib import Path

import click

from slipway.cli.changes import Scope
from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.kubectl import RESOURCE
from slipway.cli.options import pass_session, slipway_command
from slipway.cli.session import Session

LOOPBACK = "127.0.0.1"
EXTRA = ("starlette", "uvicorn")
"""What the extra `dashboard` brings."""


@slipway_command(
    "dashboard",
    examples="""
    kubectl slipway dashboard                     # all namespaces that you may read, in a browser
    kubectl slipway dashboard -n vision           # one namespace
    kubectl slipway dashboard --no-browser --port 8900      # print the address alone
    """,
)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Only those with these labels.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="NUMBER",
    help="Port on the loopback; default: any free one.",
)
@click.option("--browser/--no-browser", default=True, help="Open a browser; default.")
@pass_session
def dashboard(
    session: Session, everywhere: bool, selector: str | None, port: int, browser: bool
) -> int:
    """Show the fleet and its rollouts in a browser, live, and take actions there.

    Nothing runs in the cluster for it: this program serves the page on the loopback, and asks the
    cluster through kubectl, with your own rights. Whoever has the address it prints has these too,
    on this machine, until it ends.
    """
    _require_extra()
    from slipway.dashboard.server import serve  # noqa: PLC0415 -- heavy, and an extra

    scope = choose_scope(session, everywhere=everywhere, selector=selector or "")
    token = secrets.token_urlsafe(32)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        listener = stack.enter_context(_listen(port))
        address = f"http://{LOOPBACK}:{listener.getsockname()[1]}/#token={token}"
        sys.stdout.write(f"{address}\nserving until Ctrl-C\n")
        sys.stdout.flush()
        if browser:
            _open_browser(address, stack)
        serve(session, scope, token, listener)
    return ExitCode.OK


def choose_scope(session: Session, *, everywhere: bool, selector: str) -> Scope:
    """Return what to follow: what the flags say, else all namespaces where that is allowed."""
    is_one_chosen = any(flag.startswith("--namespace=") for flag in session.kubectl.flags)
    if not everywhere and not is_one_chosen:
        with suppress(CliError):  # "no" is an exit code too
            answer = session.kubectl.run("auth", "can-i", "list", RESOURCE, "--all-namespaces")
            everywhere = answer.strip().endswith("yes")
    return Scope(everywhere=everywhere, selector=selector)


def _require_extra() -> None:
    """Check that what only this command needs is installed.

    Raises:
        CliError: it is not.

    """
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise CliError(
            f"the dashboard needs {' and '.join(missing)}, which the extra `dashboard` brings",
            hint="pip install 'slipway[dashboard]'",
        )


def _listen(port: int) -> socket.socket:
    """Return a listening socket on the loopback.

    Raises:
        CliError: the port is taken.

    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise CliError(
            f"cannot listen on {LOOPBACK}:{port}: {error.strerror}",
            hint="leave out --port: any free one is taken",
        ) from error
    listener.listen()
    return listener


def _open_browser(address: str, stack: ExitStack) -> None:
    """Open the page by way of a file that only this user can read.

    Other users of the machine see the words with which programs are started, so the token must not
    be one of them.
    """
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slipway-")))
    page = folder / "dashboard.html"
    page.write_text(f'<meta http-equiv="refresh" content="0; url={escape(address)}">\n')
    page.chmod(0o600)
    found.open(page.as_uri())
