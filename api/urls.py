"""Which path is which view, the busiest first.

API paths have no trailing slash, as in the walk-through.
"""

from django.urls import path

from api import views

urlpatterns = [
    path("private", views.PrivateView.as_view(), name="private"),
    path("login", views.LoginView.as_view(), name="login"),
    path("public", views.PublicView.as_view(), name="public"),
    path("", views.RootView.as_view(), name="root"),
    path("logout", views.LogoutView.as_view(), name="logout"),
    path("register", views.RegisterView.as_view(), name="register"),
    path("introspect", views.IntrospectView.as_view(), name="introspect"),
    path("revoke", views.RevokeView.as_view(), name="revoke"),
    path(".well-known/jwks.json", views.JWKSView.as_view(), name="jwks"),
    path(
        ".well-known/oauth-authorization-server",
        views.MetadataView.as_view(),
        name="metadata",
    ),
    path("schema", views.SchemaView.as_view(), name="schema"),
    path("docs", views.DocsView.as_view(), name="docs"),
    path("livez", views.LivezView.as_view(), name="livez"),
    path("readyz", views.ReadyzView.as_view(), name="readyz"),
]
