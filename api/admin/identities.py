"""The admin of a client's workload identities: add them."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from api.admin.credentials import CredentialsAdmin
from api.admin.records import record_change
from api.models import SUBJECT_LENGTH, TrustedIssuer
from api.trust import add_identity, parse_claim

INTRO = (
    "The client logs in with the token that its platform gives it. Say which subject of which "
    "trusted issuer it is."
)


class IdentityForm(forms.Form):
    issuer = forms.ModelChoiceField(TrustedIssuer.objects.all())
    subject = forms.CharField(
        max_length=SUBJECT_LENGTH,
        strip=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="What the sub of its token says, to the letter.",
    )
    claims = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 80, "spellcheck": "false"}),
        help_text="Further claims that the token must have: NAME=VALUE, one a line.",
    )

    def clean_claims(self) -> dict[str, str]:
        return dict(map(parse_claim, filter(None, self.cleaned_data["claims"].splitlines())))


class IdentitiesAdmin(CredentialsAdmin):
    """The pages of a client's identities, beside those of its other credentials."""

    def get_urls(self) -> list[URLPattern]:
        add = self.admin_site.admin_view(self.add_identity_view)
        return [
            path("<path:object_id>/add-identity/", add, name="api_client_add_identity"),
            *super().get_urls(),
        ]

    def add_identity_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self._get_client(request, object_id, "api.add_workloadidentity")
        form = IdentityForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                with transaction.atomic():
                    identity = add_identity(client, **form.cleaned_data)
                    self.log_change(request, client, f"Added identity {identity}.")
            except ValidationError as error:
                form.add_error(None, error.messages)
            else:
                named = {"issuer": identity.issuer.url, "subject": identity.subject}
                record_change(request, "identity_added", client=client.username, **named)
                messages.success(request, f"{client} can log in with identity {identity}.")
                return redirect("admin:api_client_change", object_id)
        context = {"form": form, "intro": INTRO, "button": "Add identity"}
        return self._render(request, "add_credential", client, "Add workload identity", context)
