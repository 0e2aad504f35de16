"""Permissions: scopes, and the registration policy."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api import credentials
from api.exceptions import InsufficientScope
from api.tokens import AccessToken


class HasScope(BasePermission):
    """Require a token with all scopes in the view's `required_scopes` (RFC 6750 §3.1).

    ```python
    class ReportView(APIView):
        permission_classes = (HasScope,)
        required_scopes = ("reports",)
    ```
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.auth:
            return False
        if not scopes_of(request).issuperset(view.required_scopes):
            raise InsufficientScope(scope=" ".join(view.required_scopes))
        return True


class StillHasScope(HasScope):
    """As `HasScope`; and the client must still have the scopes, which costs a query."""

    def has_permission(self, request: Request, view: Any) -> bool:
        allowed = super().has_permission(request, view)
        if allowed and not current_scopes(request).issuperset(view.required_scopes):
            raise InsufficientScope(scope=" ".join(view.required_scopes))
        return allowed


class MayRegister(HasScope):
    """Allow anyone while registration is open; otherwise do as `HasScope` (RFC 7591 §3)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return settings.REGISTRATION == "open" or super().has_permission(request, view)


def current_scopes(request: Request) -> set[str]:
    """Return the scopes of the request's token that its client still has."""
    scopes = scopes_of(request)
    return scopes and scopes & credentials.current_scopes(request.user.get_username())


def scopes_of(request: Request) -> set[str]:
    """Return the scopes of the request's token, or no scopes without a token."""
    token: AccessToken | None = request.auth  # type: ignore[assignment]
    return set(token["scope"].split()) if token else set()
