"""Dynamic client registration (RFC 7591)."""

from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api import audit, credentials
from api.authentication import (
    BearerAuthentication,
)
from api.exceptions import InvalidClientMetadata
from api.openapi import operations
from api.permissions import REGISTER, MayRegister, scopes_of
from api.renderers import (
    RegistrationPage,
)
from api.serializers import (
    RegistrationSerializer,
)
from api.throttling import limits
from api.views.base import FormView


class RegisterView(FormView):
    """Dynamic client registration (RFC 7591 §3).

    The id is always generated: clients and people share a table, and nobody may choose to look like
    somebody else (RFC 9700 §4.15). A client gets the scopes that it asked for and that the caller's
    own token holds; whoever registers without a token has none to give.
    """

    authentication_classes = (BearerAuthentication,)
    permission_classes = (MayRegister,)
    renderer_classes = (JSONRenderer, RegistrationPage)

    @operations.register
    def post(self, request: Request) -> Response:
        try:
            metadata = RegistrationSerializer.read(request.data)
        except ValidationError as error:
            raise InvalidClientMetadata from error
        if granted := scopes_of(request):
            granted &= credentials.current_scopes(request.user.get_username())
        if REGISTER not in granted:
            limits.count_registration(request._request)
        scopes = sorted(granted & set(metadata["scope"].split()))
        client, secret = credentials.create_client(name=metadata["client_name"], scopes=scopes)
        audit.record(
            "client_registered",
            client=client.username,
            address=limits.client_address(request._request),
        )
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
