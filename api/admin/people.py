"""The admin of staff and groups: Django's, with an audit log and without clients.

A row of the user table is a client or staff, never both. Clients have their own admin.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from api.admin.records import AuditedAdmin
from api.models import Scope
from api.scopes import is_scope


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
