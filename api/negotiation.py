"""JSON for programs, HTML for browsers."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

ANYTHING = {"*/*", "application/json"}


class ContentNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, for callers to whom it makes a difference.

    Whoever takes anything gets a view's first renderer, which is JSON, and so does whoever sends an
    Authorization header, whatever it accepts: no page with forms and cookies is for a program.
    """

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Take a media type that is written as ours is; leave any other way to write it to DRF."""
        for parser in parsers:
            if request.content_type == parser.media_type:
                return parser
        chosen: BaseParser | None = super().select_parser(request, parsers)
        return chosen

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        meta = request._request.META
        if meta.get("HTTP_ACCEPT", "*/*") in ANYTHING or "HTTP_AUTHORIZATION" in meta:
            first = next(iter(renderers))
            return first, str(first.media_type)
        chosen: Any = super().select_renderer(request, renderers, format_suffix)
        return chosen[0], chosen[1]
