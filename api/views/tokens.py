"""A token's life: issued, looked into, revoked; and a browser's sign-out."""

from django.http import HttpResponseBase, HttpResponseRedirect
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from api import client_authentication, parameters, tokens
from api.browser import enforce_csrf, forget_token, remember_token
from api.openapi import operations
from api.parsers import JSONParser
from api.renderers import JSONRenderer, SignInPage, TokenRequestPage, is_page, local_path
from api.views.base import FormView, UncachedView


class LoginView(FormView):
    """The token endpoint (RFC 6749 §4.4): client credentials for an access token.

    No authentication class, because who calls is the very question that is answered here.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, SignInPage)

    @operations.login
    def post(self, request: Request) -> HttpResponseBase:
        media_type = request.content_type.partition(";")[0].strip().lower()
        is_json = media_type == JSONParser.media_type
        scope = parameters.read_scope(request.data, is_json=is_json)
        login = client_authentication.authenticate(request._request, request.data)
        token = tokens.issue(login, login.narrow(scope))
        if not is_page(request):
            return Response(token_response(token))
        destination = local_path(request.query_params.get("next", ""))
        response: HttpResponseBase = (
            HttpResponseRedirect(destination) if destination else Response(token_response(token))
        )
        remember_token(response, token)
        return response


def token_response(token: tokens.IssuedToken) -> dict[str, str | int]:
    """Return the successful answer of the token endpoint (RFC 6749 §5.1)."""
    return {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": token.expires_in,
        "scope": token.scope,
    }


class LogoutView(UncachedView):
    """Sign the browser out; a token that was copied from it lives on until it expires."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # for browsers only

    def post(self, request: Request) -> HttpResponseBase:
        enforce_csrf(request)
        response = HttpResponseRedirect(reverse("root"))
        forget_token(response)
        return response


class IntrospectView(FormView):
    """Token introspection (RFC 7662): a client's own tokens; others' with scope `introspect`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, TokenRequestPage)

    @operations.introspect
    def post(self, request: Request) -> Response:
        login = client_authentication.authenticate(request._request, request.data)
        claims = tokens.inspect(parameters.read_token(request.data), login)
        if claims is None:
            return Response({"active": False})
        return Response({"active": True, "token_type": "Bearer", **claims})


class RevokeView(FormView):
    """Token revocation (RFC 7009): a client's own tokens; the answer is 200 whatever was sent."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, TokenRequestPage)

    @operations.revoke
    def post(self, request: Request) -> Response:
        login = client_authentication.authenticate(request._request, request.data)
        tokens.revoke(parameters.read_token(request.data), login)
        return Response({})
