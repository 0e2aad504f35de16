"""The admin of staff and groups: Django's, with an audit log and without clients.

A row of the user table is a client or staff, never both. Clients have their own admin.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from api.admin.records import record_change
from api.models import Scope
from api.scopes import is_scope


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Writes an audit line for each change that Django's history records."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return self._record(request, super().log_addition(request, obj, message), "added")

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return self._record(request, super().log_change(request, obj, message), "changed")

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        kind = str(self.opts.model_name)
        for obj in queryset:
            record_change(request, f"{kind}_deleted", **{kind: str(obj)})
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, entry: LogEntry, verb: str) -> LogEntry:
        kind, change = str(self.opts.model_name), entry.get_change_message()
        record_change(request, f"{kind}_{verb}", **{kind: entry.object_repr}, change=change)
        return entry


class StaffAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """People who may use the admin. Everybody added here becomes staff."""

    list_display = ("username", "first_name", "last_name", "is_active", "is_superuser")
    list_filter = ("is_superuser", "is_active", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("Permissions", {"fields": ("is_active", "is_superuser", "groups", "user_permissions")}),
        ("Important dates", {"fields": ("last_login", "date_joined")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(Q(is_staff=True) | Q(is_superuser=True))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = True
        super().save_model(request, obj, form, change)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the filters of the list. Others could be slow or reveal a hash."""
        return lookup in {"is_superuser__exact", "is_active__exact", "groups__id__exact"}


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] = super().clean() or {}
        if is_scope(cleaned.get("name", "")) and not cleaned.get("permissions"):
            self.add_error("permissions", "Choose permissions for staff, or add a scope instead.")
        return cleaned


class AuditedGroupAdmin(AuditedAdmin, GroupAdmin):
    """Groups of staff, which give permissions. Scopes have an admin of their own."""

    form = GroupForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        scopes = Scope.objects.filter(permissions=None)
        return super().get_queryset(request).exclude(pk__in=scopes.values("pk"))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return False  # the list has no filter


admin.site.unregister((User, Group))
admin.site.register(User, StaffAdmin)
admin.site.register(Group, AuditedGroupAdmin)
