"""What staff do to several clients at once. Whatever ends something asks first, and names them."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import ngettext

from api import client_changes, tokens
from api.admin import client_list
from api.admin.identities import IdentitiesAdmin
from api.admin.records import actor, record_change
from api.models import Client

CONSEQUENCES = {
    "deactivate": "They can't log in, and all their tokens end at once.",
    "revoke": "All their tokens end at once. Their credentials stay good for new ones.",
}


class BulkAdmin(IdentitiesAdmin):
    actions = ("activate", "deactivate", "revoke")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("api.revoke_tokens")

    @admin.action(description="Activate selected clients", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_active(request, queryset, active=True)

    @admin.action(description="Deactivate selected clients", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        if "post" not in request.POST:
            return self._ask(request, queryset, "deactivate", "Deactivate clients")
        self._set_active(request, queryset, active=False)
        return None

    @admin.action(description="Revoke all tokens of selected clients", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        if "post" not in request.POST:
            return self._ask(request, queryset, "revoke", "Revoke all tokens")
        with transaction.atomic():
            revoked = list(queryset.select_for_update())
            tokens.revoke_all(queryset)
            self._log(request, revoked, "Revoked all tokens.")
        for client in revoked:
            record_change(request, "tokens_revoked", client=client.username)
        messages.success(request, f"Revoked all tokens of {client_list.count(queryset)}.")
        return None

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        clients = list(queryset)
        super().delete_queryset(request, queryset)
        for client in clients:
            record_change(request, "client_deleted", client=client.username)

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[Client], action: str, title: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "action": action,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "clients": queryset,
            "consequence": CONSEQUENCES[action],
        }
        return TemplateResponse(request, "admin/api/client/ask.html", context)

    def _set_active(
        self, request: HttpRequest, queryset: QuerySet[Client], *, active: bool
    ) -> None:
        with transaction.atomic():
            switched = list(queryset.filter(is_active=not active).select_for_update())
            for client in switched:
                client_changes.switch(client, active=active, actor=actor(request))
            self._log(request, switched, "Activated." if active else "Deactivated.")
        done = "Activated" if active else "Deactivated"
        count = queryset.count()
        selected = ngettext("selected client", "selected clients", count)
        messages.success(request, f"{done} {len(switched)} of {count} {selected}.")

    @staticmethod
    def _log(request: HttpRequest, clients: list[Client], message: str) -> None:
        staff: Any = request.user.pk
        LogEntry.objects.log_actions(staff, clients, CHANGE, message)
