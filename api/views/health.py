"""Whether the process answers, and whether the service is ready."""

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import health
from api.openapi import operations
from api.renderers import (
    JSONRenderer,
)


class LivezView(APIView):
    """The process answers."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @operations.livez
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyzView(APIView):
    """The service can do its work: database, migrations, a key to sign with."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @operations.readyz
    def get(self, request: Request) -> Response:
        health.check_readiness()
        return Response({"status": "ok"})
