"""The admin of scopes: add one, and see which clients have it and which APIs understand it."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from api.admin import client_list
from api.admin.deletion import ExplainedDeletion
from api.admin.records import AuditedAdmin
from api.models import Resource, Scope
from api.scopes import NOT_A_SCOPE

RENAMING = (
    "If you rename it, all tokens of its clients end at once, and logins that ask for the old name "
    "are refused."
)


class ScopeForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Scope
        fields = ("name",)
        help_texts = {"name": NOT_A_SCOPE}
        error_messages = {"name": {"unique": "There is a scope with this name."}}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "name" in self.fields:
            self.fields["name"].help_text = RENAMING


@admin.register(Scope)
class ScopeAdmin(ExplainedDeletion, AuditedAdmin):
    form = ScopeForm
    list_display = ("name", "how_many", "apis")
    actions = None  # deleting one says first whom it hits
    fields = ("name",)

    def get_fields(self, request: HttpRequest, obj: Scope | None = None) -> tuple[str, ...]:
        return ("name", "clients", "apis") if obj else ("name",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Scope | None = None
    ) -> tuple[str, ...]:
        return ("clients", "apis")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return False  # the list has no filter

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("resources")

    @admin.display(description="clients")
    def how_many(self, scope: Scope) -> SafeString:
        url = client_list.list_url(scope=scope.name)
        return format_html(
            '<a href="{}">{}</a>', url, client_list.count(client_list.members(scope))
        )

    @admin.display(description="clients")
    def clients(self, scope: Scope) -> SafeString:
        return client_list.links(client_list.members(scope), scope=scope.name)

    @admin.display(description="APIs that understand it")
    def apis(self, scope: Scope) -> str:
        """Name the APIs that list the scope; one that lists none understands all."""
        named = ", ".join(str(resource) for resource in scope.resources.all())
        return named or "those that understand all"

    def consequences(self, request: HttpRequest, scope: Scope) -> Iterator[str]:
        yield format_html(
            "{} with it: {}. All of their tokens end at once.",
            client_list.count(client_list.members(scope)),
            self.clients(scope),
        )
        for api in Resource.objects.filter(scopes=scope).prefetch_related("scopes"):
            if len(api.scopes.all()) > 1:
                yield f"{api} no longer understands it."
            else:
                yield f"{api} understands no other scope, so it will understand all."
        if scope.permissions.exists():
            yield "It is a group of staff too, who lose its permissions."
