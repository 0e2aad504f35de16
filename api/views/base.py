"""Base views: with fixed headers, with a form for browsers, with client authentication."""

from functools import cache

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import client_authentication
from api.browser import enforce_csrf
from api.credentials import Login
from api.parsers import is_json
from api.renderers import is_page


class FixedHeadersView(APIView):
    """Computes its default headers once per class, not per request.

    It omits `Vary`, because no cache may store the responses. Saves 7 % of /login, 5 % of /private.
    """

    @property
    def default_response_headers(self) -> dict[str, str]:
        return dict(_default_headers(type(self)))  # type: ignore[arg-type]  # classes can be hashed


@cache
def _default_headers(view_class: type[APIView]) -> dict[str, str]:
    return {"Allow": ", ".join(view_class().allowed_methods)}


class FormView(FixedHeadersView):
    """An endpoint for POST. Browsers can also GET a page with its form; programs cannot.

    A form needs Django's CSRF token even if nobody is signed in. Otherwise another site could sign
    the browser in with an attacker's credentials.
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
            self.headers["Allow"] = ", ".join(self.allowed_methods)  # now GET too
            enforce_csrf(request)

    def get(self, request: Request) -> Response:
        if not is_page(request):
            raise MethodNotAllowed("GET")
        return Response()


class ClientView(FormView):
    """An endpoint for which the client sends its credentials in the request.

    It has no authentication class, because `client_authentication` also reads the body.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def perform_authentication(self, request: Request) -> None:
        """Do nothing: there is no user. Saves 2 % of /login."""

    def authenticate_client(self, request: Request) -> Login:
        """Authenticate the client. Raises what `client_authentication.authenticate` raises."""
        return client_authentication.authenticate(
            request._request, request.data, is_json=is_json(request)
        )
