"""One view that returns a constant."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class ConstantView(APIView):
    def get(self, request: Request) -> Response:
        return Response({"message": "Welcome to the public area :)"})


urlpatterns = [path("public", ConstantView.as_view())]
