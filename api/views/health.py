"""Liveness and readiness probes, and metrics."""

from django.http import HttpResponse
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import health, metrics
from api.exceptions import Unavailable
from api.openapi.operations import Describe
from api.permissions import HasScope
from api.renderers import DocumentPage, HealthPage


class LivezView(APIView):
    """Whether the process answers."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, HealthPage)
    name = "Liveness"

    @Describe(returns="Status")
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyzView(APIView):
    """Whether the service can work: database, migrations, a key to sign with."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, HealthPage)
    name = "Readiness"

    @Describe(returns="Status", errors=(Unavailable(),))
    def get(self, request: Request) -> Response:
        health.check_readiness()
        return Response({"status": "ok"})


class MetricsView(APIView):
    """Metrics of the service, in the text format of Prometheus."""

    permission_classes = (HasScope,)
    required_scopes = ("metrics",)
    renderer_classes = (JSONRenderer, DocumentPage)  # of errors

    @Describe(returns="Metrics", media_type="text/plain")
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(metrics.render(health.state()), content_type=metrics.CONTENT_TYPE)
