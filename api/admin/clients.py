"""The admin of clients.

A new secret is shown only in the response to the request that made it. There is no redirect, so no
message, session or URL has to carry the secret to the next page.

The list is fast for a million clients (see `client_list.py`).
"""

import json
import shlex
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from api import clients, credentials, tokens
from api.admin import client_list
from api.admin.forms import ClientForm, RotationForm
from api.admin.records import activation_event, format_time, record_change
from api.models import Client


class HiddenInLogs(str):
    """A string that debug logs hide: Django logs the context of a template by `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


@admin.register(Client)
class ClientAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ClientForm
    list_display = ("client_id", "name", "active", "scopes", "last_used", "created")
    list_filter = ("is_active", client_list.ScopeFilter, client_list.LastUsedFilter)
    search_fields = ("username", "first_name")
    search_help_text = (
        f"The beginning of a client id or a name; at most {client_list.MAX_LISTED:,} are listed."
    )
    sortable_by = ("client_id", "created")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = client_list.BoundedPaginator
    actions = ("activate", "deactivate")
    # No "select all": a truncated list has more clients than it shows.
    actions_selection_counter = False
    readonly_fields = ("client_id", "last_used", "created", "previous_secret")

    @admin.display(description="client id", ordering="username")
    def client_id(self, client: Client) -> str:
        return client.username

    @admin.display(description="name")
    def name(self, client: Client) -> str:
        return client.first_name

    @admin.display(description="active", boolean=True)
    def active(self, client: Client) -> bool:
        return client.is_active

    @admin.display(description="scopes")
    def scopes(self, client: Client) -> str:
        names = sorted(group.name for group in client.groups.all())
        return " ".join(filter(credentials.is_scope, names))

    @admin.display(description="last used")
    def last_used(self, client: Client) -> str:
        return format_time(client.last_login) if client.last_login else "never"

    @admin.display(description="created", ordering="pk")
    def created(self, client: Client) -> str:
        return format_time(client.date_joined)

    @admin.display(description="previous secret")
    def previous_secret(self, client: Client) -> str:
        ends_at = clients.grace_end(client)
        return f"good until {format_time(ends_at)}" if ends_at else "none in its grace period"

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the filters of the list. `password__startswith` could reveal a hash."""
        return lookup in {"is_active__exact", "scope", "last_used"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return client_list.ordering(request.GET)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Client], search_term: str
    ) -> tuple[QuerySet[Client], bool]:
        return client_list.search(queryset, search_term.strip()), False

    def get_fields(self, request: HttpRequest, obj: Client | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("first_name", "groups")
        return ("first_name", "is_active", "groups", *self.readonly_fields)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            scopes = Group.objects.filter(pk__in=[group.pk for group in clients.scopes()])
            kwargs |= {"queryset": scopes.order_by("name"), "widget": forms.CheckboxSelectMultiple}
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(self.rotate_view)
        revoke = self.admin_site.admin_view(self.revoke_view)
        return [
            path("<path:object_id>/rotate/", rotate, name="api_client_rotate"),
            path("<path:object_id>/revoke/", revoke, name="api_client_revoke"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may = {
            "may_rotate": request.user.has_perm("api.rotate_secret"),
            "may_revoke": request.user.has_perm("api.revoke_tokens"),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **may})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer only one save button, because the next page always shows the new secret."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            scopes = [group.name for group in form.cleaned_data["groups"]]
            client, obj.secret = clients.create_client(name=obj.first_name, scopes=scopes)
            obj.pk, obj.username = client.pk, client.username
            record_change(request, "client_created", client=obj.username)
            return
        changed = set(form.changed_data)
        # Save only the edited fields: a whole row would undo a rotation in the meantime.
        obj.save(update_fields=changed - {"groups"})
        if "is_active" in changed:
            record_change(request, activation_event(active=obj.is_active), client=obj.username)
        if changed - {"is_active"}:
            record_change(request, "client_changed", client=obj.username)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show_once(request, obj, obj.secret, "Client added")

    def delete_model(self, request: HttpRequest, obj: Client) -> None:
        super().delete_model(request, obj)
        record_change(request, "client_deleted", client=obj.username)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        clients = list(queryset)
        super().delete_queryset(request, queryset)
        for client in clients:
            record_change(request, "client_deleted", client=client.username)

    @admin.action(description="Activate selected clients", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_active(request, queryset, active=True)

    @admin.action(description="Deactivate selected clients", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_active(request, queryset, active=False)

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self._get_client(request, object_id, "api.rotate_secret")
        form = RotationForm(
            request.POST or None, initial={"version": clients.secret_version(client)}
        )
        if request.method == "POST" and form.is_valid():
            try:
                return self._rotate(request, client, form)
            except clients.SecretChangedError as error:
                messages.error(request, f"{error} It was not rotated again.")
                return redirect("admin:api_client_rotate", object_id)
        ends_at = clients.grace_end(client)
        context = {"form": form, "grace_end": format_time(ends_at) if ends_at else ""}
        return self._render(request, "rotate", client, "Rotate secret", context)

    def _rotate(self, request: HttpRequest, client: Client, form: RotationForm) -> HttpResponse:
        grace = timedelta(hours=int(form.cleaned_data["grace"]))
        with transaction.atomic():
            secret = clients.rotate_secret(
                client, grace=grace, version=form.cleaned_data["version"]
            )
            ends = (
                f"good until {format_time(timezone.now() + grace)}" if grace else "no longer good"
            )
            self.log_change(request, client, f"Rotated the secret; the old one is {ends}.")
        record_change(request, "secret_rotated", client=client.username)
        return self._show_once(
            request, client, secret, "Secret rotated", f"The old secret is {ends}."
        )

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self._get_client(request, object_id, "api.revoke_tokens")
        if request.method != "POST":
            return self._render(request, "revoke", client, "Revoke all tokens", {})
        with transaction.atomic():
            tokens.revoke_all(Client.objects.filter(pk=client.pk))
            self.log_change(request, client, "Revoked all tokens.")
        record_change(request, "tokens_revoked", client=client.username)
        messages.success(request, f"All tokens of {client} are revoked.")
        return redirect("admin:api_client_change", object_id)

    def _get_client(self, request: HttpRequest, object_id: str, permission: str) -> Client:
        """Check the permission and return the client. Raises `PermissionDenied`, `Http404`."""
        if not (self.has_view_permission(request) and request.user.has_perm(permission)):
            raise PermissionDenied
        client: Client | None = self.get_object(request, unquote(object_id))
        if client is None:
            raise Http404
        return client

    def _set_active(
        self, request: HttpRequest, queryset: QuerySet[Client], *, active: bool
    ) -> None:
        staff: Any = request.user.pk
        with transaction.atomic():
            clients = queryset.filter(is_active=not active)
            switched = list(clients.select_for_update())
            if not active:
                tokens.revoke_all(clients)  # or activating the clients would revive them
            clients.update(is_active=active)
            message = "Activated." if active else "Deactivated."
            LogEntry.objects.log_actions(staff, switched, CHANGE, message)
        for client in switched:
            record_change(request, activation_event(active=active), client=client.username)
        verb = "activated" if active else "deactivated"
        messages.success(request, f"{len(switched)} of the selected clients were {verb}.")

    def _show_once(
        self, request: HttpRequest, client: Client, secret: str, title: str, note: str = ""
    ) -> HttpResponse:
        """Show a new secret in the response to the request that made it."""
        body = json.dumps({"client_id": client.username, "client_secret": secret})
        curl = (
            "curl --header 'Content-Type: application/json' --request POST \\\n"
            f"  --data {shlex.quote(body)} \\\n  {settings.PUBLIC_URL}/login"
        )
        context = {"secret": HiddenInLogs(secret), "curl": HiddenInLogs(curl), "note": note}
        return self._render(request, "secret", client, title, context)

    def _render(
        self,
        request: HttpRequest,
        template: str,
        client: Client,
        title: str,
        context: dict[str, Any],
    ) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/api/client/{template}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": client,
                "title": title,
                **context,
            },
        )
