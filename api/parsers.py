"""Parse request bodies: JSON or form, in UTF-8, with each parameter but `resource` at most once.

DRF's parsers read bodies of any size and fail on deeply nested ones with a RecursionError. If a
parameter is repeated, they keep the last value, which RFC 6749 §3.2 forbids.
"""

import json
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from api.exceptions import BodyTooLarge, InvalidRequest
from api.parameters import RESOURCE

MAX_FIELDS = 100
JSON_AS_FORM = (
    "The body is JSON, but it was sent as a form; add --header 'Content-Type: application/json'."
)
LINE_BREAK = (
    "A form must have no line break, not even at its end "
    "(with curl: --data instead of --data-binary)."
)


class UTF8Parser(BaseParser):
    """Decodes a body as UTF-8 (RFC 8259 §8.1; RFC 6749 appendix B) and passes it to `load`."""

    kind = ""  # for people

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
            return self.load(body.decode("utf-8-sig"))  # Windows puts a byte order mark first
        except UnicodeDecodeError:
            raise InvalidRequest("The request body is not UTF-8.") from None
        except (ValueError, RecursionError):
            sentence = f"The request body could not be parsed as {self.kind}."
            raise InvalidRequest(sentence) from None

    def load(self, text: str) -> dict[str, Any]:
        """Return the parameters of a body. Raises `ValueError`, `RecursionError`."""
        raise NotImplementedError


class JSONParser(UTF8Parser):
    media_type = "application/json"
    kind = "JSON"

    def load(self, text: str) -> dict[str, Any]:
        data = _decoder.decode(text)
        if not isinstance(data, dict):
            raise InvalidRequest("The request body must be a JSON object.")
        return data


class FormParser(UTF8Parser):
    media_type = "application/x-www-form-urlencoded"
    kind = "a form"

    def load(self, text: str) -> dict[str, Any]:
        if text.lstrip().startswith("{"):
            raise InvalidRequest(JSON_AS_FORM)
        if "\n" in text or "\r" in text:
            raise InvalidRequest(LINE_BREAK)
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        repeatable = [value for name, value in pairs if name == RESOURCE.name]
        if len(repeatable) < 2:
            return _unique(pairs)
        others = _unique([(name, value) for name, value in pairs if name != RESOURCE.name])
        return {**others, RESOURCE.name: repeatable}


def is_json(request: Request) -> bool:
    """Tell by its Content-Type whether the body of a request is JSON."""
    media_type = request.content_type.partition(";")[0].strip().lower()
    return media_type == JSONParser.media_type


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise InvalidRequest("A parameter is repeated; send each one once.")
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
