"""Serves the repositories below a directory over HTTP, read-only, by Git's own program for it."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080
VARIABLES = {
    "Content-Type": "CONTENT_TYPE",
    "Content-Length": "CONTENT_LENGTH",
    "Content-Encoding": "HTTP_CONTENT_ENCODING",
    "Git-Protocol": "GIT_PROTOCOL",
}
"""What `git http-backend` is told of a request's headers."""


class Handler(BaseHTTPRequestHandler):
    """Hands each request to `git http-backend`, as a CGI server does."""

    def do_GET(self) -> None:
        """Answer."""
        self._hand_on()

    def do_POST(self) -> None:
        """Answer."""
        self._hand_on()

    def _hand_on(self) -> None:
        path, _, query = self.path.partition("?")
        told = {
            "GIT_PROJECT_ROOT": sys.argv[1],
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
        }
        told |= {name: self.headers[key] for key, name in VARIABLES.items() if key in self.headers}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=os.environ | told,
            stdout=subprocess.PIPE,
            check=False,
        )
        self._answer(done.stdout)

    def _answer(self, printed: bytes) -> None:
        head, _, body = printed.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
