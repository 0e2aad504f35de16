"""The admin of APIs: what they are called, who may call them, and how to connect one."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from api.admin import client_list, connection
from api.admin.deletion import ExplainedDeletion
from api.admin.forms import ResourceForm, offer_new_scope
from api.admin.records import AuditedAdmin
from api.models import Resource


@admin.register(Resource)
class ResourceAdmin(ExplainedDeletion, AuditedAdmin):
    form = ResourceForm
    list_display = ("identifier", "name", "understands", "server_client")
    search_fields = ("identifier", "name")
    readonly_fields = ("granted_clients",)

    @admin.display(description="scopes")
    def understands(self, resource: Resource) -> str:
        return " ".join(sorted(group.name for group in resource.scopes.all())) or "all"

    @admin.display(description="server")
    def server_client(self, resource: Resource) -> str:
        return resource.server.username if resource.server else ""

    @admin.display(description="clients")
    def granted_clients(self, resource: Resource) -> SafeString:
        return client_list.links(client_list.grantees(resource), api=resource.pk)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return False  # the list has no filter

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("server").prefetch_related("scopes")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = ("identifier", "name", "scopes", "server_client")
        return (*fields, "granted_clients") if obj else fields

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        offer_new_scope(context["adminform"].form, "scopes", request.user)
        return super().render_change_form(request, context, *args, **kwargs)

    def consequences(self, request: HttpRequest, resource: Resource) -> Iterator[str]:
        yield format_html(
            "{} may call it: {}. Their tokens for it end at once.",
            client_list.count(client_list.grantees(resource)),
            self.granted_clients(resource),
        )
        if resource.server:
            yield f"{resource.server.username} is its server, and stays a client."

    def save_model(self, request: HttpRequest, obj: Resource, form: Any, change: bool) -> None:
        obj.server = form.cleaned_data["server_client"]
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[URLPattern]:
        connect = self.admin_site.admin_view(self.connect_view)
        return [
            path("<path:object_id>/connect/", connect, name="api_resource_connect"),
            *super().get_urls(),
        ]

    def connect_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the values that a resource server needs, and snippets that contain them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        resource: Resource | None = self.get_object(request, unquote(object_id))
        if resource is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": resource,
            "title": "Connect this API",
            **connection.instructions(resource),
        }
        return TemplateResponse(request, "admin/api/resource/connect.html", context)
