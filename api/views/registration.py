"""Dynamic client registration (RFC 7591)."""

from rest_framework import status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api import bodies, clients, expiry
from api.authentication import BearerAuthentication
from api.client_authentication import METHODS
from api.exceptions import InvalidClientMetadata, SlowDown, Unavailable
from api.openapi.operations import Describe
from api.permissions import MayRegister, current_scopes
from api.renderers import RegistrationPage
from api.scopes import REGISTER
from api.serializers import RegistrationSerializer
from api.throttling.address import client_address
from api.throttling.guard import count_registration
from api.views.base import FormView


class RegisterView(FormView):
    """Register a client (RFC 7591).

    Only this response shows the secret. With `private_key_jwt`, send public keys as `jwks`; then
    there is no secret. If registration is closed, send a token with the scope
    `register`. The client gets the requested scopes that this token also has.
    """

    # The id is always generated: clients and staff share a table, and nobody may imitate another's
    # name (RFC 9700 §4.15).
    authentication_classes = (BearerAuthentication,)
    permission_classes = (MayRegister,)
    required_scopes = (REGISTER,)
    renderer_classes = (JSONRenderer, RegistrationPage)
    serializer_class = RegistrationSerializer

    @Describe(
        returns="RegisteredClient",
        status=status.HTTP_201_CREATED,
        errors=(InvalidClientMetadata(), SlowDown(42), Unavailable()),
    )
    def post(self, request: Request) -> Response:
        metadata = self.serializer_class(data=request.data)
        if not metadata.is_valid():
            raise InvalidClientMetadata
        address, granted = client_address(request._request), current_scopes(request)
        if REGISTER not in granted:
            count_registration(address)
        asked = metadata.validated_data
        scopes = granted.intersection((asked.get("scope") or "").split())
        keys, method = asked.get("jwks") or (), asked.get("token_endpoint_auth_method")
        client, secret = clients.register_client(
            name=asked.get("client_name") or "",
            scopes=scopes,
            address=address,
            auth_method=method if method in METHODS else "",
            keys=keys,
        )
        information = bodies.client_information(
            client, secret, " ".join(sorted(scopes)), expiry.of(client)
        )
        if method in METHODS:
            information["token_endpoint_auth_method"] = method
        if keys:
            information["jwks"] = {"keys": [one.key.jwk for one in keys]}
        return Response(information, status.HTTP_201_CREATED)
