"""Liveness and readiness probes."""

from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import health
from api.exceptions import Unavailable
from api.openapi.operations import Describe
from api.throttling.counters import counters


class LivezView(APIView):
    """Whether the process answers."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @Describe(returns="Status")
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyzView(APIView):
    """Whether the service can work: database, migrations, a key to sign with."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @Describe(returns="Status", errors=(Unavailable(),))
    def get(self, request: Request) -> Response:
        counters().probe()  # logs a Redis that fails; logins go on without it
        health.check_readiness()
        return Response({"status": "ok"})
