"""List the endpoints, from the URL patterns. Pages, root and documents use this list."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
    actions: Mapping[str, str] = field(default_factory=dict)  # of a viewset, by method

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
        has_page = hasattr(self.view_class, "get") or "get" in self.actions
        return self.has_fixed_url and has_page

    @property
    def shown_path(self) -> str:
        return readable(self.path)

    @property
    def methods(self) -> list[str]:
        """The methods that programs may use."""
        methods = (
            map(str.upper, self.actions) if self.actions else self.view_class().allowed_methods
        )
        return [method for method in methods if method not in {"HEAD", "OPTIONS"}]

    @property
    def purpose(self) -> str:
        handlers = [getattr(self.view_class, name) for name in dict.fromkeys(self.actions.values())]
        return " ".join(split_docstring(one)[0] for one in handlers or [self.view_class])


def endpoints() -> list[Endpoint]:
    """Return all endpoints of the API, in the order of the URL patterns."""
    return list(_walk(get_resolver().url_patterns))


def readable(path: str) -> str:
    """Return a path of `urls.py` for people, such as `/reports/{pk}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def handler(view: "APIView", method: str) -> object:
    """Return what responds to an HTTP method: the view's method, or the action of a viewset."""
    actions = getattr(view, "action_map", None) or {}
    return getattr(view, actions.get(method.lower(), method.lower()), None)


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
            actions = getattr(entry.callback, "actions", {})  # set by `as_view` of a viewset
            yield Endpoint(path, f"{namespace}{entry.name or ''}", view_class, actions)
