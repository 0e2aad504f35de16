"""Change one's own password, with the rate limits of the sign-in."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy

from api.admin.records import record_change
from api.authentication import check_person


class GuardedPasswordChangeForm(PasswordChangeForm):
    """Limits guesses of the old password, so a stolen session does not help to guess it."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        username = self.user.get_username()
        if check_person(username, old, self.request, event="password_change") is None:
            code = "password_incorrect"
            raise ValidationError(self.error_messages[code], code=code)
        return old


class GuardedPasswordChangeView(PasswordChangeView):
    """The admin's page for it. `authdemo/urls.py` replaces Django's page with it."""

    form_class = GuardedPasswordChangeForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | admin.site.each_context(self.request)

    def form_valid(self, form: Any) -> HttpResponse:
        record_change(self.request, "password_changed")
        return super().form_valid(form)
