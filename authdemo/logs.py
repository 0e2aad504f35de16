"""Write log lines that no caller can forge or flood: one line per event, with its time in UTC."""

import logging
import re
import threading
import time
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

MINUTE = 60.0  # seconds
MOST_TEXTS = 100  # different texts a minute from one logger
MOST_CHARACTERS = 150  # of a text that quotes a caller


class UTCFormatter(logging.Formatter):
    """Writes times as ISO 8601 does, such as `2026-11-23T10:50:00.042Z`."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class LineFormatter(UTCFormatter):
    """Escapes control characters: no caller forges a line or moves a cursor.

    A traceback keeps its lines, indented. OpenTelemetry sets `otelTraceID`, to "0" outside a trace.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own)
        text = super().formatMessage(record)
        trace_id = getattr(record, "otelTraceID", "0")
        return escape(f"{text} trace_id={trace_id}" if trace_id != "0" else text)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(f"  {escape(line)}" for line in super().formatException(ei).splitlines())


class JSONFormatter(UTCFormatter, JsonFormatter):
    """Leaves out the request that Django attaches: its text holds the query, perhaps a secret."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, reserved_attrs=[*RESERVED_ATTRS, "request"], **kwargs)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\x7f", "\\u007f")  # the one that JSON leaves


class QueryFilter(logging.Filter):
    """Drops the query from runserver's access log: a URL may hold a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                re.sub(r"\?\S*", "", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


class BriefFilter(logging.Filter):
    """Shortens a text that quotes a caller, and drops its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if len(text) > MOST_CHARACTERS:
            text = f"{text[:MOST_CHARACTERS]}…"
        record.msg, record.args, record.exc_info = text, (), None
        return True


class ThreadsFilter(logging.Filter):
    """Drops granian's warning of many threads for few cores. Ours wait for the database."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Python threads" not in str(record.msg)


class OnceAMinuteFilter(logging.Filter):
    """Lets each text through once a minute, and says how many lines it held back.

    Strangers may vary the text, so it lets through and remembers 100 texts a minute at most. Give
    each logger a filter of its own: then a flood in one hides nothing in another.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._until: dict[str, float] = {}  # by text, the oldest first; of `time.monotonic()`
        self._held_back = 0

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = record.getMessage(), time.monotonic()
        with self._lock:
            while self._until and self._until[oldest := next(iter(self._until))] <= now:
                del self._until[oldest]
            if text in self._until or len(self._until) >= MOST_TEXTS:
                self._held_back += 1
                return False
            self._until[text] = now + MINUTE
            held_back, self._held_back = self._held_back, 0
        if held_back:
            lines = "line was" if held_back == 1 else "lines were"
            record.msg, record.args = f"{text} ({held_back} {lines} held back)", ()
        return True


def escape(text: str) -> str:
    """Escape what is not printable: line ends, control characters, changes of direction."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
