"""The two areas of the walk-through: one for anyone, one for a token."""

from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import tokens
from api.authentication import (
    BearerAuthentication,
)
from api.openapi import operations
from api.views.base import UncachedView


class PublicView(APIView):
    """A route that anyone may call."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operations.public
    def get(self, request: Request) -> Response:
        return Response({"message": "Welcome to the public area :)"})


class PrivateView(UncachedView):
    """A route that needs an access token."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (IsAuthenticated,)

    @operations.private
    def get(self, request: Request) -> Response:
        token: tokens.AccessToken = request.auth  # type: ignore[assignment]
        return Response(
            {"message": "Welcome to the protected area :)", **tokens.public_claims(token)}
        )
