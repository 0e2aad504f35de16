"""Issue, introspect and revoke tokens; sign a browser out."""

from django.http import HttpResponseBase, HttpResponseRedirect
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from api import bodies, parameters, resources, tokens
from api.browser import (
    enforce_csrf,
    fits_cookie,
    forget_token,
    may_show_token,
    remember_token,
)
from api.exceptions import (
    AccessDenied,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
)
from api.openapi.operations import Describe
from api.parsers import is_json
from api.renderers import TokenRequestPage, is_page, local_path
from api.sign_in_pages import SignInPage, SignOutPage, TokenPage
from api.views.base import ClientView, FixedHeadersView, FormView

ONLY_FOR_BROWSERS = "Only a signed-in browser can open this page, by a link of this service."


class LoginView(ClientView):
    """Get an access token for client credentials (RFC 6749 §4.4).

    Send the credentials as HTTP Basic, in a form or in JSON. Or send an assertion: one that the
    client signed with its key (RFC 7523 §2.2), or its platform's token. `grant_type` is required
    unless the body is JSON. `resource` names the API that the token is for. Without it, the token
    is for the client's default API, or else for this service. `scope` selects some of the client's
    scopes that the API understands. Without it, the token has all of them.
    """

    renderer_classes = (JSONRenderer, SignInPage)

    @Describe(
        takes="Login",
        returns="AccessToken",
        errors=(UnsupportedGrantType(), InvalidScope(), InvalidTarget()),
    )
    def post(self, request: Request) -> HttpResponseBase:
        scope = parameters.read_scope(request.data, is_json=is_json(request))
        login = self.authenticate_client(request)
        resource = resources.select(login, parameters.read_resources(request.data))
        token = tokens.issue(login, login.select_scopes(scope, resource), resource)
        if resource or not is_page(request):  # a browser keeps only tokens for this service
            return Response(bodies.token_response(token))
        destination = local_path(request.query_params.get("next", ""))
        response: HttpResponseBase = (
            HttpResponseRedirect(destination)
            if destination and fits_cookie(token)
            else Response(bodies.token_response(token))
        )
        remember_token(response, token)
        return response


class AuthorizeView(APIView):
    """Refuse: no person logs in here.

    Clients of the Model Context Protocol demand that the metadata name such an address.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # nothing to call

    def get(self, request: Request) -> Response:
        raise UnsupportedResponseType


class TokenView(FixedHeadersView):
    """Show a signed-in browser its token again.

    The cookie hides the token from scripts. So does this page, which only a person can open.
    """

    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer, TokenPage)
    schema = None  # for browsers only

    def get(self, request: Request) -> Response:
        if not (is_page(request) and may_show_token(request._request)):
            raise AccessDenied(ONLY_FOR_BROWSERS)
        token: tokens.AccessToken = request.auth  # type: ignore[assignment]
        return Response({"access_token": token.token})


class LogoutView(FormView):
    """Sign the browser out.

    The token itself stays good until it expires.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, SignOutPage)
    schema = None  # for browsers only

    def post(self, request: Request) -> HttpResponseBase:
        enforce_csrf(request)
        response = HttpResponseRedirect(reverse("root"))
        forget_token(response)
        return response


class IntrospectView(ClientView):
    """Tell whether a token is good, and return its claims (RFC 7662).

    A client may introspect its own tokens and, if it is the server of an API, the tokens for that
    API. With the scope `introspect` it may introspect all. For any other token the response is
    `{"active": false}`.
    """

    renderer_classes = (JSONRenderer, TokenRequestPage)

    @Describe(takes="OwnToken", returns="Introspection")
    def post(self, request: Request) -> Response:
        login = self.authenticate_client(request)
        claims = tokens.inspect(parameters.read_token(request.data), login)
        if claims is None:
            return Response({"active": False})
        return Response({"active": True, "token_type": "Bearer", **claims})


class RevokeView(ClientView):
    """Revoke a token before it expires (RFC 7009).

    A client may revoke its own tokens only. The response is the same if there is nothing to revoke.
    """

    renderer_classes = (JSONRenderer, TokenRequestPage)

    @Describe(takes="OwnToken", returns="Revocation", errors=(UnauthorizedClient(),))
    def post(self, request: Request) -> Response:
        login = self.authenticate_client(request)
        tokens.revoke(parameters.read_token(request.data), login)
        return Response({})
