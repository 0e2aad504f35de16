"""The admin of signing keys: view and rotate them."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, Subquery, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from api import keys
from api.admin.records import format_span, format_time, record_change
from api.models import SigningKey


@admin.register(SigningKey)
class SigningKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Staff can view and rotate keys, but not add, change or delete one."""

    list_display = ("state", "algorithm", "created", "signs", "verifies", "kid")
    list_display_links = None
    fields = readonly_fields = list_display
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow no filter. `private_jwk__startswith` could reveal a key."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[SigningKey]:
        now = timezone.now()
        due = SigningKey.objects.filter(keys.unexpired(), signs_from__lte=now).order_by(
            "-signs_from"
        )
        state = Case(
            When(verifies_until__lte=now, then=Value("expired")),
            When(signs_from__gt=now, then=Value("published")),
            When(kid=Subquery(due.values("kid")[:1]), then=Value("signing")),
            default=Value("verifying"),
        )
        rows: QuerySet[SigningKey] = super().get_queryset(request)
        return rows.annotate(state=state)

    @admin.display(description="state")
    def state(self, key: Any) -> str:
        return str(key.state)

    @admin.display(description="created", ordering="created_at")
    def created(self, key: SigningKey) -> str:
        return format_time(key.created_at)

    @admin.display(description="signs from", ordering="signs_from")
    def signs(self, key: SigningKey) -> str:
        return format_time(key.signs_from)

    @admin.display(description="verifies until", ordering="verifies_until")
    def verifies(self, key: SigningKey) -> str:
        return format_time(key.verifies_until) if key.verifies_until else "replaced"

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(self.rotate_view)
        return [
            path("rotate/", rotate, {"immediately": False}, "api_signingkey_rotate"),
            path("rotate/now/", rotate, {"immediately": True}, "api_signingkey_rotate_now"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may = {"may_rotate": request.user.has_perm("api.rotate_keys")}
        return super().changelist_view(request, {**(extra_context or {}), **may})

    def rotate_view(self, request: HttpRequest, *, immediately: bool) -> HttpResponse:
        allowed = self.has_view_permission(request) and request.user.has_perm("api.rotate_keys")
        if not allowed:
            raise PermissionDenied
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "immediately": immediately,
                "ahead": format_span(keys.PUBLISH_AHEAD),
                "title": "Rotate now (leaked)" if immediately else "Rotate keys",
            }
            return TemplateResponse(request, "admin/api/signingkey/rotate.html", context)
        try:
            key = keys.rotate(immediately=immediately)
        except (keys.RotationPendingError, keys.UndecryptableKeyError) as error:
            messages.error(request, str(error))
        else:
            self.log_addition(
                request, key, "Made; all other keys ended." if immediately else "Made."
            )
            record_change(request, "key_rotated", kid=key.kid, algorithm=key.algorithm)
            messages.success(request, f"Key {key.kid} signs from {format_time(key.signs_from)}.")
        return redirect("admin:api_signingkey_changelist")
