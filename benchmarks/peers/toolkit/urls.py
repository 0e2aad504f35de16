"""The library's own token endpoint, and one view that asks for a token with the read scope."""

from django.urls import include, path
from oauth2_provider.contrib.rest_framework import TokenHasReadWriteScope
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class PrivateView(APIView):
    permission_classes = (TokenHasReadWriteScope,)

    def get(self, request: Request) -> Response:
        return Response({"message": "Welcome to the protected area :)"})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("private", PrivateView.as_view()),
]
