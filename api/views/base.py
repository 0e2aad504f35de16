"""Base classes: views whose headers are fixed, forms for browsers, and endpoints of clients."""

from functools import cache

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import client_authentication
from api.browser import enforce_csrf
from api.credentials import Login
from api.renderers import is_page


class FixedHeadersView(APIView):
    """A view that works out its default headers once: 5 % of a login and 3 % of a call.

    `Vary` is left out, because no cache keeps the responses.
    """

    @property
    def default_response_headers(self) -> dict[str, str]:
        return dict(_default_headers(type(self)))  # type: ignore[arg-type]  # classes can be hashed


@cache
def _default_headers(view_class: type[APIView]) -> dict[str, str]:
    return {"Allow": ", ".join(view_class().allowed_methods)}


class FormView(FixedHeadersView):
    """An endpoint for POST. Browsers, and nobody else, also GET a page with its form.

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

    def get(self, request: Request) -> Response:
        if not is_page(request):
            raise MethodNotAllowed("GET")
        return Response()


class ClientView(FormView):
    """An endpoint where a client proves who it is, in the request itself.

    It has no authentication class: the methods of `client_authentication` read the body too.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def authenticate_client(self, request: Request) -> Login:
        """Return who calls. Raises what `client_authentication.authenticate` raises."""
        return client_authentication.authenticate(request._request, request.data)
