"""Pages of a long list, by a cursor: the position in the list, not a number of rows to skip."""

from typing import Any

from rest_framework import pagination
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from api.exceptions import InvalidRequest

MALFORMED = "cursor is malformed."
MAX_DIGITS = 18  # of a position; a longer one is no 64-bit integer


class NewestFirst(pagination.CursorPagination):
    """A hundred rows a page, the newest first."""

    page_size = 100
    ordering = "-pk"

    def decode_cursor(self, request: Request) -> pagination.Cursor | None:
        """Refuse a cursor that is not ours. DRF answers 404, or 500 if it holds no number."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise InvalidRequest(MALFORMED) from None
        if cursor is None or cursor.position is None:
            return cursor
        position = str(cursor.position)
        if not position.isdecimal() or len(position) > MAX_DIGITS:
            raise InvalidRequest(MALFORMED)
        return cursor

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Say it in OpenAPI 3.1, which has no `nullable`."""
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "properties": properties, "required": list(properties)}
