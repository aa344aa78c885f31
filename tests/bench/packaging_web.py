"""A web server for its folder, with ETags as nearly all have: ``… packaging_web PORT FOLDER``."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(SimpleHTTPRequestHandler):
    """Sends a file as fast as the kernel does."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        """Say what the file is known by."""
        found = Path(self.translate_path(self.path)).stat()
        self.send_header("ETag", f'"{found.st_size:x}-{found.st_mtime_ns:x}"')
        super().end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send without a detour through this process."""
        outputfile.flush()
        self.connection.sendfile(source)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    serve = partial(Handler, directory=sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), serve).serve_forever()
