"""Rotate the signing key."""

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import audit, bodies, keys
from api.exceptions import Conflict
from api.openapi.operations import Describe
from api.permissions import StillHasScope
from api.scopes import KEYS_WRITE
from api.serializers import NothingSerializer
from api.throttling.address import client_address


class KeysView(APIView):
    """Rotate the signing key.

    The new key is published now, and signs as soon as every verifier can know it. The old one
    verifies until its last token has expired.
    """

    permission_classes = (StillHasScope,)
    required_scopes = (KEYS_WRITE,)

    @Describe(
        takes=NothingSerializer,
        returns="SigningKey",
        status=status.HTTP_201_CREATED,
        errors=(Conflict(),),
    )
    def post(self, request: Request) -> Response:
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        key = keys.rotate()
        address = client_address(request._request)
        by = request.user.get_username()
        audit.record("key_rotated", kid=key.kid, algorithm=key.algorithm, by=by, address=address)
        return Response(bodies.key_information(key), status.HTTP_201_CREATED)
