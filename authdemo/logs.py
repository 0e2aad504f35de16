"""How log lines are written: one event a line, whoever supplied the text in it."""

import logging
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LineFormatter(logging.Formatter):
    """Escapes control characters in messages, so that no caller forges a line or moves a cursor.

    A traceback still has its lines; what a caller can put into one is the text of the exception.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own)
        return escape(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"  {escape(line)}" for line in text.splitlines())


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
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
