"""The forms for editing a client, rotating its secret and adding a key."""

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from api import client_keys, credentials, public_keys
from api.client_authentication import METHODS
from api.jose import UnusableKeyError
from api.models import Client, ClientProfile
from api.public_keys import GivenKey

GRACE_PERIODS = {"0": "now", "1": "in 1 hour", "24": "in 24 hours", "168": "in 7 days"}  # hours


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]
    auth_method = forms.ChoiceField(
        label="Only method",
        choices=[("", "Any that it has a credential for"), *((name, name) for name in METHODS)],
        required=False,
        help_text="The only way in which the client may prove its identity.",
    )

    class Meta:
        model = Client
        fields = ("first_name", "is_active", "groups")
        labels = {"first_name": "Name", "groups": "Scopes"}
        help_texts = {
            "first_name": "Who or what uses this client.",
            "is_active": "An inactive client can't log in, and its tokens are refused at once.",
            "groups": "What the client's tokens may allow.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        profile = ClientProfile.objects.filter(pk=self.instance.pk).first()
        self.initial["auth_method"] = profile.auth_method if profile else ""

    def clean_groups(self) -> QuerySet[Group]:
        """Keep the groups that are not scopes, which the form does not offer."""
        chosen = {group.pk for group in self.cleaned_data["groups"]}
        if self.instance.pk:
            current = self.instance.groups.all()
            chosen |= {group.pk for group in current if not credentials.is_scope(group.name)}
        return Group.objects.filter(pk__in=chosen)


class RotationForm(forms.Form):
    """The grace period, and the version of the secret to rotate.

    The version prevents a second rotation by a double click or a reload. It would end the grace
    period of the old secret, and nobody would see the first new secret.
    """

    grace = forms.ChoiceField(
        label="The old secret ends",
        choices=list(GRACE_PERIODS.items()),
        widget=forms.RadioSelect,
        initial="24",
    )
    version = forms.CharField(widget=forms.HiddenInput)


class KeyInput(forms.Textarea):
    """A text area that never repeats what was entered, as that may be a private key."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class KeyForm(forms.Form):
    key = forms.CharField(
        label="Public key",
        max_length=32 * 1024,
        widget=KeyInput(attrs={"rows": 12, "cols": 80, "spellcheck": "false"}),
        help_text=public_keys.MALFORMED,
    )
    name = forms.CharField(
        max_length=client_keys.MAX_NAME_LENGTH, required=False, help_text="Where the key is used."
    )
    expires = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "date"}),
        help_text="The first day on which the key is refused. Leave empty for never.",
    )

    def clean_key(self) -> list[GivenKey]:
        try:
            return public_keys.read(self.cleaned_data["key"])
        except UnusableKeyError as error:
            raise ValidationError(str(error)) from error
