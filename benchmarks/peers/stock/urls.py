"""A token for a user name and password, and one view that asks for it."""

from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView


class PrivateView(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"message": "Welcome to the protected area :)"})


urlpatterns = [
    path("api/token/", TokenObtainPairView.as_view()),
    path("private", PrivateView.as_view()),
]
