"""Logs: one event a line on stderr, with fields, for people or for machines."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from catalogue.context import current

_FIELDS = "lathe_fields"
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", _FIELDS}


def set_up(form: str, level: int) -> None:
    """Write log lines of ``level`` and above to stderr from now on, as ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    return {**current(), **own}


class _Text(logging.Formatter):
    """A line for people; the fields come last."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        form = f"%(asctime)s %(levelname)s %(name)s %(message)s%({_FIELDS})s"
        super().__init__(form, "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        setattr(record, _FIELDS, fields)
        return super().format(record)


class _Json(logging.Formatter):
    """A JSON object a line."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: Mapping[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line = {**line, "traceback": self.formatException(record.exc_info)}
        return json.dumps(line, default=str, ensure_ascii=False)
