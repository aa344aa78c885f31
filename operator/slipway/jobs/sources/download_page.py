"""The page of a pod that fetches: how far it is, for the operator, which passes it on in status.

A Job has no token to write with, and the operator may read no logs. Reading a page needs neither.
"""

import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from slipway.api import names
from slipway.api.download import PATH
from slipway.jobs.sources.progress import Progress

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""For one request: who opens a connection and says nothing keeps the others waiting so long."""


def serve_download_progress(port: int = names.DOWNLOAD_PORT) -> int | None:
    """Serve the page from a thread of its own as long as the process lives.

    Returns the port; None where none could be opened: fetching goes on without the page.
    """
    try:
        server = _Server(port)
    except OSError as error:
        log.warning("nobody will see how far the download is: %s", error)
        return None
    threading.Thread(target=server.serve_forever, name="progress", daemon=True).start()
    return int(server.server_address[1])


class _Server(HTTPServer):
    """Listens on each IP family that there is."""

    def __init__(self, port: int) -> None:
        super().__init__(("", port), _Page, bind_and_activate=False)
        self.socket.close()
        is_dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if is_dual else socket.AF_INET
        self.socket = socket.create_server(("", port), family=family, dualstack_ipv6=is_dual)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the log is about the model, and whoever asks may go away."""


class _Page(BaseHTTPRequestHandler):
    timeout = PATIENCE_SECONDS

    def do_GET(self) -> None:
        progress = Progress.newest
        if self.path != PATH or progress is None:
            self.send_error(404)
            return
        body = progress.measure().model_dump_json(by_alias=True, exclude_none=True).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing, likewise."""
