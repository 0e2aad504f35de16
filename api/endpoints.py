"""List the endpoints, from the URL patterns. Pages, root and documents use this list."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import URLPattern, URLResolver, get_resolver

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports the renderers, which import this module


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the API, its name in `urls.py`, and the view behind it."""

    path: str  # as in `urls.py`, such as `/reports/<int:pk>`
    name: str
    view_class: type["APIView"]

    @property
    def has_fixed_url(self) -> bool:
        """Whether its name alone gives its URL: it has a name, and no parameters in the path."""
        return bool(self.name) and "<" not in self.path

    @property
    def is_for_programs(self) -> bool:
        return self.view_class.schema is not None

    @property
    def can_be_opened(self) -> bool:
        """Whether a browser can GET a page there."""
        return self.has_fixed_url and hasattr(self.view_class, "get")

    @property
    def methods(self) -> list[str]:
        """The methods that programs may use."""
        return [method for method in self.view_class().allowed_methods if method != "OPTIONS"]

    @property
    def purpose(self) -> str:
        return split_docstring(self.view_class)[0]


def endpoints() -> list[Endpoint]:
    """Return all endpoints of the API, in the order of the URL patterns."""
    return list(_walk(get_resolver().url_patterns))


def split_docstring(documented: object) -> tuple[str, str]:
    """Split a docstring into its first line, the purpose, and the rest."""
    purpose, _, details = inspect.cleandoc(documented.__doc__ or "").partition("\n")
    return purpose.replace("`", ""), details.strip()


def _walk(
    patterns: Iterable[URLPattern | URLResolver], prefix: str = "/", namespace: str = ""
) -> Iterator[Endpoint]:
    for entry in patterns:
        path = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry.url_patterns, path, inner)
        elif view_class := getattr(entry.callback, "cls", None):  # set by DRF's `as_view`
            yield Endpoint(path, f"{namespace}{entry.name or ''}", view_class)
