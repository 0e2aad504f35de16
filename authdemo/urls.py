"""Paths: the API at the root, the admin under /admin/. Errors elsewhere have the API's shape."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from api.admin import overview
from api.admin.password import GuardedPasswordChangeView
from api.urls import urlpatterns as api_urlpatterns

handler400 = handler403 = handler404 = "api.handlers.refused"
handler500 = "api.handlers.server_error"

urlpatterns = [
    *api_urlpatterns,
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/password_change/", admin.site.admin_view(GuardedPasswordChangeView.as_view())),
    path("admin/", admin.site.admin_view(overview.index)),
    path("admin/", admin.site.urls),
]
