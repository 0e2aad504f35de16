"""The two areas of the walk-through: public, and private for bearers of a token."""

from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import tokens
from api.authentication import BearerAuthentication
from api.openapi.operations import Describe
from api.views.base import FixedHeadersView


class PublicView(APIView):
    """A greeting for anyone."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @Describe(returns="Message")
    def get(self, request: Request) -> Response:
        return Response({"message": "Welcome to the public area :)"})


class PrivateView(FixedHeadersView):
    """A greeting for the bearer of an access token, with the claims of the token."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (IsAuthenticated,)

    @Describe(returns="Private")
    def get(self, request: Request) -> Response:
        token: tokens.AccessToken = request.auth  # type: ignore[assignment]
        return Response(
            {"message": "Welcome to the protected area :)", **tokens.public_claims(token)}
        )
