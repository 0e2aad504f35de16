"""How log lines are written: one event a line, whoever supplied the text in it."""

import json
import logging
import re
import time
from functools import lru_cache
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

# What no line of ours says need not be found out for each (the Logging HOWTO's "Optimization").
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class LineFormatter(logging.Formatter):
    """Escapes control characters in messages, so that no caller forges a line or moves a cursor.

    A traceback still has its lines; what a caller can put into one is the text of the exception.
    """

    def usesTime(self) -> bool:  # noqa: N802 (logging's own)
        return True

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return f"{_second(int(record.created))},{int(record.msecs):03}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escape(f"{record.asctime} {record.levelname} {record.name} {record.message}")

    def formatException(self, ei: object) -> str:  # noqa: N802
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"  {escape(line)}" for line in text.splitlines())


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Return a time as the `logging` module writes it; a busy second has a thousand lines."""
    return time.strftime(logging.Formatter.default_time_format, time.localtime(seconds))


class JSONFormatter(JsonFormatter):
    """Leaves out the request that Django attaches: its text has the query, whatever is in that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        reserved = [*RESERVED_ATTRS, "request"]
        super().__init__(*args, reserved_attrs=reserved, json_serializer=_dumps, **kwargs)


def _dumps(value: Any, **kwargs: Any) -> str:
    return json.dumps(value, **kwargs).replace("\x7f", "\\u007f")  # the one it leaves


class QueryFilter(logging.Filter):
    """Drops the query from runserver's access log: somebody may put a secret into a URL."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                re.sub(r"\?\S*", "", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


def escape(text: str) -> str:
    """Escape what is not printable: line ends, control characters, changes of direction."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
