"""Base classes: answers that no cache keeps, and endpoints that are a form to a browser."""

from functools import cache

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.browser import enforce_csrf
from api.renderers import is_page


class UncachedView(APIView):
    """A view whose answers, errors included, no cache may keep (RFC 6749 §5.1).

    So they need not say by which header of the request they vary.
    """

    @property
    def default_response_headers(self) -> dict[str, str]:
        return dict(_uncached_headers(type(self)))  # type: ignore[arg-type]  # classes can be hashed


@cache
def _uncached_headers(view_class: type[APIView]) -> dict[str, str]:
    """Return the headers of a view's answers to programs: they are the same for each request."""
    allowed = ", ".join(view_class().allowed_methods)
    return {"Allow": allowed, "Cache-Control": "no-store", "Pragma": "no-cache"}


class FormView(UncachedView):
    """An endpoint for POST; to a browser, and to nobody else, GET is the page with its form.

    What a page posts needs Django's CSRF token, signed in or not: another site could have the
    browser sign in with an attacker's credentials.
    """

    @property
    def allowed_methods(self) -> list[str]:
        methods: list[str] = super().allowed_methods
        if is_page(getattr(self, "request", None)):
            return methods
        return [method for method in methods if method not in {"GET", "HEAD"}]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if is_page(request):
            self.headers["Allow"] = ", ".join(self.allowed_methods)  # GET too, as it turns out
            enforce_csrf(request)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        if not is_page(request):
            raise MethodNotAllowed("GET")
        return Response()
