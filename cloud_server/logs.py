"""Structured logs: one JSON object a line, on standard error, with nothing about persons.

Only the fields that a caller names are written. Addresses, requests and names of users' files are never among
them; an exception is logged by type and place, since its text may quote input.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import IO

__all__ = ["LOGGER", "JsonLines", "configure_logs", "log"]

LOGGER = "goodnoise.cloud"


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, event, and the fields given to `log`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["at"] = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(record.exc_info[2])[-5:]]
        return json.dumps(line, default=str)


def configure_logs(*, level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Send the project's logs, and warnings of its libraries, to `stream` as lines of JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(level)


def log(
    event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object
) -> None:
    """Write one event. Name no address, no request content and no user's file among the fields."""
    logging.getLogger(LOGGER).log(level, event, extra={"fields": fields}, exc_info=error)
