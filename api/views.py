"""Validate, call one function, respond."""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpResponseBase, HttpResponseRedirect
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import MethodNotAllowed, ValidationError
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError

from api import audit, credentials, health, keys, schema, throttling, tokens
from api.authentication import (
    BearerAuthentication,
    authenticate_client,
    enforce_csrf,
    forget_token,
    remember_token,
)
from api.exceptions import InvalidClientMetadata, InvalidRequest, InvalidScope, UnsupportedGrantType
from api.parsers import JSONParser
from api.permissions import INTROSPECT, REGISTER, MayRegister, scopes_of
from api.renderers import (
    DocsPage,
    JSONRenderer,
    RegistrationPage,
    RootPage,
    SignInPage,
    TokenRequestPage,
    is_page,
    local_path,
)
from api.serializers import (
    RegistrationSerializer,
    TokenRequestSerializer,
    TokenSerializer,
)

GRANT_TYPE_REQUIRED = "grant_type is required, but for a body of Content-Type application/json."


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

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if is_page(request):
            self.headers["Allow"] = ", ".join(self.allowed_methods)  # GET too, as it turns out
            enforce_csrf(request)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        if not is_page(request):
            raise MethodNotAllowed("GET")
        return Response()


class RootView(APIView):
    """What there is here."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, RootPage)
    names = (
        "public",
        "login",
        "private",
        "register",
        "introspect",
        "revoke",
        "jwks",
        "metadata",
        "schema",
        "docs",
        "livez",
        "readyz",
    )

    @schema.root
    def get(self, request: Request) -> Response:
        return Response({name: reverse(name, request=request) for name in self.names})


class PublicView(APIView):
    """A route that anyone may call."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @schema.public
    def get(self, request: Request) -> Response:
        return Response({"message": "Welcome to the public area :)"})


class PrivateView(UncachedView):
    """A route that needs an access token."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (IsAuthenticated,)

    @schema.private
    def get(self, request: Request) -> Response:
        token: tokens.AccessToken = request.auth  # type: ignore[assignment]
        return Response(
            {"message": "Welcome to the protected area :)", **tokens.public_claims(token)}
        )


class LoginView(FormView):
    """The token endpoint (RFC 6749 §4.4): client credentials for an access token.

    No authentication class, because who calls is the very question that is answered here.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, SignInPage)

    @schema.login
    def post(self, request: Request) -> HttpResponseBase:
        asked = TokenRequestSerializer.read(request.data)
        media_type = request.content_type.partition(";")[0].strip().lower()
        if "grant_type" not in asked and media_type != JSONParser.media_type:
            raise InvalidRequest(GRANT_TYPE_REQUIRED)
        if asked.get("grant_type", "client_credentials") != "client_credentials":
            raise UnsupportedGrantType
        login = authenticate_client(request)
        try:
            scopes = login.narrow(asked.get("scope"))
        except credentials.ScopeNotGrantedError as error:
            raise InvalidScope from error
        token = tokens.issue(login.client, scopes, login.secret_hash)
        text = str(token)
        record(request, "token_issued", login.client.client_id, jti=token["jti"])
        response: HttpResponseBase = Response(
            {
                "access_token": text,
                "token_type": "Bearer",
                "expires_in": token["exp"] - token["iat"],
                "scope": token["scope"],
            }
        )
        if is_page(request):
            if destination := local_path(request.query_params.get("next", "")):
                response = HttpResponseRedirect(destination)
            remember_token(response, token, text)
        return response


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


class RegisterView(FormView):
    """Dynamic client registration (RFC 7591 §3).

    The id is always generated: clients and people share a table, and nobody may choose to look like
    somebody else (RFC 9700 §4.15). A client gets the scopes that it asked for and that the caller's
    own token holds; whoever registers without a token has none to give.
    """

    authentication_classes = (BearerAuthentication,)
    permission_classes = (MayRegister,)
    renderer_classes = (JSONRenderer, RegistrationPage)

    @schema.register
    def post(self, request: Request) -> Response:
        try:
            metadata = RegistrationSerializer.read(request.data)
        except ValidationError as error:
            raise InvalidClientMetadata from error
        if granted := scopes_of(request):
            granted &= credentials.current_scopes(request.user.get_username())
        if REGISTER not in granted:
            throttling.count_registration(request._request)
        scopes = sorted(granted & set(metadata["scope"].split()))
        client, secret = credentials.create_client(name=metadata["client_name"], scopes=scopes)
        record(request, "client_registered", client.username)
        return Response(
            {
                "client_id": client.username,
                "client_secret": secret,
                "client_id_issued_at": int(client.date_joined.timestamp()),
                "client_secret_expires_at": 0,
                "client_name": client.first_name,
                "scope": " ".join(scopes),
                "grant_types": ["client_credentials"],
                "response_types": [],
                "token_endpoint_auth_method": "client_secret_basic",
            },
            status.HTTP_201_CREATED,
        )


class IntrospectView(FormView):
    """Token introspection (RFC 7662): a client's own tokens; others' with scope `introspect`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, TokenRequestPage)

    @schema.introspect
    def post(self, request: Request) -> Response:
        login = authenticate_client(request)
        text = TokenSerializer.read(request.data)["token"]
        try:
            token = tokens.verify(text)
        except TokenError:
            return Response({"active": False})
        if token["sub"] != login.client.client_id and INTROSPECT not in login.scopes:
            return Response({"active": False})
        return Response({"active": True, "token_type": "Bearer", **tokens.public_claims(token)})


class RevokeView(FormView):
    """Token revocation (RFC 7009): a client's own tokens; the answer is 200 whatever was sent."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, TokenRequestPage)

    @schema.revoke
    def post(self, request: Request) -> Response:
        login = authenticate_client(request)
        text = TokenSerializer.read(request.data)["token"]
        try:
            token = tokens.AccessToken(text)
        except TokenError:
            return Response({})
        if token["sub"] == login.client.client_id:
            tokens.revoke(token)
            record(request, "token_revoked", login.client.client_id, jti=token["jti"])
        return Response({})


class JWKSView(APIView):
    """The public keys that verify our tokens (RFC 7517 §5)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @schema.jwks
    def get(self, request: Request) -> Response:
        max_age = int(keys.JWKS_MAX_AGE.total_seconds())
        return Response(keys.jwks(), headers={"Cache-Control": f"public, max-age={max_age}"})


class MetadataView(APIView):
    """Where everything is, for OAuth clients (RFC 8414)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @schema.metadata
    def get(self, request: Request) -> Response:
        methods = ["client_secret_basic", "client_secret_post"]
        return Response(
            {
                "issuer": settings.PUBLIC_URL,
                "token_endpoint": settings.PUBLIC_URL + reverse("login"),
                "token_endpoint_auth_methods_supported": methods,
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "jwks_uri": settings.PUBLIC_URL + reverse("jwks"),
                "registration_endpoint": settings.PUBLIC_URL + reverse("register"),
                "introspection_endpoint": settings.PUBLIC_URL + reverse("introspect"),
                "introspection_endpoint_auth_methods_supported": methods,
                "revocation_endpoint": settings.PUBLIC_URL + reverse("revoke"),
                "revocation_endpoint_auth_methods_supported": methods,
            }
        )


class SchemaView(APIView):
    """This API as an OpenAPI document, in JSON or YAML."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer2,
        OpenApiYamlRenderer,
    )

    @schema.schema
    def get(self, request: Request) -> Response:
        return Response(schema.document())


class DocsView(APIView):
    """Swagger UI, as a page."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, DocsPage)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response({"schema": reverse("schema", request=request)})


class LivezView(APIView):
    """The process answers."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @schema.livez
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyzView(APIView):
    """The service can do its work: database, migrations, a key to sign with."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @schema.readyz
    def get(self, request: Request) -> Response:
        health.demand_readiness()
        return Response({"status": "ok"})


def record(request: Request, event: str, client_id: str, **fields: str) -> None:
    address = throttling.client_address(request._request)
    audit.record(event, client=client_id, address=address, **fields)
