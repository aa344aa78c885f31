"""Logs: one JSON object per line on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

from slipway.engine import log_context

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
AUDIT = "slipway.audit"
"""Who did what; written at every level of the settings."""
QUIET = ("kopf", "asyncio", "aiohttp")
"""Libraries that log only warnings and errors."""


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message, and the fields of the pass and of the caller."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }

        line.update(log_context.current_fields())
        line.update((key, value) for key, value in vars(record).items() if key not in STANDARD)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Send all logs to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
