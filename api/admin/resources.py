"""The admin of APIs: what they are called, who may call them, and how to connect one."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from api.admin import connection
from api.admin.forms import ResourceForm
from api.admin.people import AuditedAdmin
from api.models import Resource
from api.scopes import all_scopes

MAX_CLIENTS = 50  # that a page of an API names; the list of clients has them all


@admin.register(Resource)
class ResourceAdmin(AuditedAdmin):
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
        """Return links to some clients, and to the list of all."""
        some = list(resource.clients.order_by("username")[: MAX_CLIENTS + 1])
        if not some:
            return SafeString("none")
        links = format_html_join(
            ", ",
            '<a href="{}">{}</a>',
            (
                (reverse("admin:api_client_change", args=[client.pk]), client.username)
                for client in some[:MAX_CLIENTS]
            ),
        )
        if len(some) <= MAX_CLIENTS:
            return links
        url = f"{reverse('admin:api_client_changelist')}?api={resource.pk}"
        return format_html('{} and <a href="{}">others</a>', links, url)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return False  # the list has no filter

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("server").prefetch_related("scopes")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = ("identifier", "name", "scopes", "server_client")
        return (*fields, "granted_clients") if obj else fields

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "scopes":
            scopes = Group.objects.filter(pk__in=[group.pk for group in all_scopes()])
            kwargs |= {"queryset": scopes.order_by("name"), "widget": forms.CheckboxSelectMultiple}
        return super().formfield_for_manytomany(db_field, request, **kwargs)

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
        """Show what a resource server needs to know, and code that knows it."""
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
