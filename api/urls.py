"""The paths of the API, in the order in which pages and documents list them.

API paths have no trailing slash, as in the walk-through.
"""

from django.urls import path, register_converter

from api.routers import ClientIdConverter, Router
from api.views import areas, clients, discovery, health, keys, registration, tokens

register_converter(ClientIdConverter, "client_id")
router = Router()
router.register("clients", clients.ClientViewSet, "client")

urlpatterns = [
    path("", discovery.RootView.as_view(), name="root"),
    path("public", areas.PublicView.as_view(), name="public"),
    path("login", tokens.LoginView.as_view(), name="login"),
    path("private", areas.PrivateView.as_view(), name="private"),
    path("register", registration.RegisterView.as_view(), name="register"),
    path("introspect", tokens.IntrospectView.as_view(), name="introspect"),
    path("revoke", tokens.RevokeView.as_view(), name="revoke"),
    *router.urls,
    path("keys", keys.KeysView.as_view(), name="keys"),
    path(".well-known/jwks.json", discovery.JWKSView.as_view(), name="jwks"),
    path(
        ".well-known/oauth-authorization-server",
        discovery.MetadataView.as_view(),
        name="metadata",
    ),
    path(
        ".well-known/openid-configuration",  # for programs that know only OpenID Connect's address
        discovery.MetadataView.as_view(),
        name="openid_metadata",
    ),
    path(
        ".well-known/oauth-protected-resource",
        discovery.ResourceMetadataView.as_view(),
        name="resource_metadata",
    ),
    path("schema", discovery.SchemaView.as_view(), name="schema"),
    path("docs", discovery.DocsView.as_view(), name="docs"),
    path("livez", health.LivezView.as_view(), name="livez"),
    path("readyz", health.ReadyzView.as_view(), name="readyz"),
    path("metrics", health.MetricsView.as_view(), name="metrics"),
    path("authorize", tokens.AuthorizeView.as_view(), name="authorize"),
    path("logout", tokens.LogoutView.as_view(), name="logout"),
]
