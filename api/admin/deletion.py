"""Pages that ask before a deletion, and say what ends with it."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from api.admin.selection import CheckedSelection


class ExplainedDeletion(CheckedSelection):
    """Says in words what a deletion ends. Django would list all related rows, maybe a million."""

    def consequences(self, request: HttpRequest, obj: Any) -> Iterable[str]:
        """Return sentences about what ends with an object."""
        raise NotImplementedError

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return each object and what ends with it. Related rows need no permission."""
        lines: list[Any] = []
        for obj in objs:
            lines += [str(obj), list(self.consequences(request, obj))]
        return lines, {}, set(), []
