"""Discovery: the root, public keys, metadata and the API documents."""

from functools import cache

from django.http import HttpResponse
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from api import bodies, keys
from api.endpoints import endpoints
from api.exceptions import Unavailable
from api.openapi.operations import Describe, document
from api.renderers import DocsPage, DocumentPage, RootPage


def jwks_cache_control() -> str:
    """Return the Cache-Control header of the keys: verifiers should not fetch them per token."""
    return f"public, max-age={keys.JWKS_MAX_AGE.total_seconds():.0f}"


class RootView(APIView):
    """List of the endpoints."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, RootPage)

    @Describe(returns="Root")
    def get(self, request: Request) -> Response:
        names = [
            entry.name
            for entry in endpoints()
            if entry.is_for_programs and entry.has_fixed_url and entry.name != "root"
        ]
        return Response({name: reverse(name, request=request) for name in names})


class JWKSetRenderer(JSONRenderer):
    media_type = "application/jwk-set+json"  # RFC 7517 §8.5.2


class JWKSView(APIView):
    """The public keys that verify our tokens (RFC 7517 §5)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, JWKSetRenderer, DocumentPage)
    name = "Public keys"

    @Describe(returns="JWKSet", errors=(Unavailable(),), cache_control=jwks_cache_control())
    def get(self, request: Request) -> Response:
        return Response(keys.jwks(), headers={"Cache-Control": jwks_cache_control()})


class MetadataView(APIView):
    """Metadata for OAuth clients: endpoints and methods (RFC 8414)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, DocumentPage)

    @Describe(returns="Metadata")
    def get(self, request: Request) -> Response:
        return Response(bodies.metadata())


class ResourceMetadataView(APIView):
    """Metadata of this service as an API: who issues its tokens (RFC 9728)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, DocumentPage)

    @Describe(returns="ResourceMetadata")
    def get(self, request: Request) -> Response:
        return Response(bodies.resource_metadata())


class SchemaView(APIView):
    """This API as an OpenAPI document, in JSON or YAML."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer2,
        OpenApiYamlRenderer,
    )

    @Describe(returns="Document")
    def get(self, request: Request) -> HttpResponse:
        renderer: BaseRenderer = request.accepted_renderer
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        content_type = f"{renderer.media_type}{charset}"
        return HttpResponse(_rendered(str(renderer.media_type)), content_type=content_type)


@cache
def _rendered(media_type: str) -> bytes:
    """Render the document once per process; it costs up to 28 ms of CPU."""
    (renderer,) = (one() for one in SchemaView.renderer_classes if one.media_type == media_type)
    return bytes(renderer.render(document(), renderer_context={}))


class DocsView(APIView):
    """Swagger UI, as a page."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, DocsPage)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response({"schema": reverse("schema", request=request)})
