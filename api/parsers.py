"""Parse request bodies into parameters: JSON or form, in UTF-8, each name once.

DRF's own parsers read a body of any size, end in a RecursionError if it is deeply nested, and keep
the last of two parameters with one name. RFC 6749 §3.2 forbids that.
"""

import json
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from django.conf import settings
from rest_framework.parsers import BaseParser

from api.exceptions import BodyTooLarge, InvalidRequest

MAX_FIELDS = 100


class UTF8Parser(BaseParser):
    """Reads a body as UTF-8 text (RFC 8259 §8.1; RFC 6749 appendix B) and gives it to `load`."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        try:
            return self.load(body.decode())
        except (ValueError, RecursionError):
            raise InvalidRequest("The request body could not be understood.") from None

    def load(self, text: str) -> dict[str, Any]:
        """Return the parameters of a body. Raises `ValueError`, `RecursionError`."""
        raise NotImplementedError


class JSONParser(UTF8Parser):
    media_type = "application/json"

    def load(self, text: str) -> dict[str, Any]:
        data = _decoder.decode(text)
        if not isinstance(data, dict):
            raise InvalidRequest("The request body must be a JSON object.")
        return data


class FormParser(UTF8Parser):
    media_type = "application/x-www-form-urlencoded"

    def load(self, text: str) -> dict[str, Any]:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        return _unique(pairs)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise InvalidRequest("A parameter is given twice.")
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
