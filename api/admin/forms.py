"""The forms for editing a client or an API, rotating a secret and adding a key."""

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from api import client_keys, expiry, public_keys
from api.client_authentication import METHODS
from api.identifiers import MAX_LENGTH
from api.jose import UnusableKeyError
from api.models import Client, ClientProfile, Resource, Scope
from api.public_keys import GivenKey
from api.scopes import is_scope

GRACE_PERIODS = {"0": "now", "1": "in 1 hour", "24": "in 24 hours", "168": "in 7 days"}  # hours


class ScopeBoxes(forms.CheckboxSelectMultiple):
    """Checkboxes of scopes, and a + that adds one in a popup. Django's + adds to selects only."""

    template_name = "admin/api/scope/boxes.html"
    may_add = False

    class Media:
        js = ("admin/js/admin/RelatedObjectLookups.js", "api/scopes.js")  # in this order

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return {**super().get_context(name, value, attrs), "may_add": self.may_add}


class ScopeField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    def __init__(self, help_text: str) -> None:
        super().__init__(
            Scope.objects.all(),
            label="Scopes",
            required=False,
            widget=ScopeBoxes,
            help_text=help_text,
        )


def offer_new_scope(form: forms.BaseForm, name: str, user: Any) -> None:
    """Show the + beside a form's scopes, if the form has them, to staff who may add one."""
    if name in form.fields:
        form.fields[name].widget.may_add = user.has_perm("api.add_scope")


class ExpiryField(forms.DateTimeField):
    """The end of something, as a date: its first second."""

    widget = forms.DateTimeInput(attrs={"type": "date"})

    def __init__(self, label: str, help_text: str) -> None:
        super().__init__(label=label, help_text=help_text, required=False)


class SecretExpiryField(ExpiryField):
    def __init__(self, label: str) -> None:
        empty = "Leave empty for never, or for the latest day that SECRET_MAX_AGE allows."
        super().__init__(label, f"The first day on which it is refused. {empty}")

    def clean(self, value: Any) -> datetime | None:
        return expiry.choose(super().clean(value))


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]
    # Of the client to add. It makes sure that a form that is sent twice adds one client.
    new_id = forms.UUIDField(
        required=False, initial=uuid.uuid4, widget=forms.HiddenInput({"autocomplete": "off"})
    )
    groups = ScopeField("What the client's tokens may allow.")
    apis = forms.ModelMultipleChoiceField(
        Resource.objects.all(),
        label="APIs",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What the client may call besides this service.",
    )
    default_api = forms.ModelChoiceField(
        Resource.objects.all(),
        label="Default API",
        required=False,
        empty_label="This service",
        help_text="The API that tokens are for if the client names none.",
    )
    auth_method = forms.ChoiceField(
        label="Method",
        choices=[("", "Any"), *((name, name) for name in METHODS)],
        required=False,
        help_text="How the client must prove its identity.",
    )
    secret_expires = SecretExpiryField("The secret expires")

    class Meta:
        model = Client
        fields = ("first_name", "is_active", "groups")
        labels = {"first_name": "Name", "groups": "Scopes"}  # also where scopes are read only
        help_texts = {
            "first_name": "Who or what uses this client.",
            "is_active": "An inactive client can't log in, and its tokens are refused at once.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["new_id"]
        grants = list(self.instance.resource_grants.all()) if self.instance.pk else []
        self.initial["apis"] = [grant.resource_id for grant in grants]
        self.initial["default_api"] = next(
            (grant.resource_id for grant in grants if grant.is_default), None
        )
        profile = ClientProfile.objects.filter(pk=self.instance.pk).first()
        self.initial["auth_method"] = profile.auth_method if profile else ""
        if self.instance.pk:  # only a rotation decides anew
            del self.fields["secret_expires"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        default = cleaned.get("default_api")
        if default and default not in cleaned.get("apis", ()):
            self.add_error("default_api", "Tick this API too, or choose another default.")
        return cleaned

    def clean_groups(self) -> QuerySet[Group]:
        """Keep the groups that are not scopes, which the form does not offer."""
        chosen = {group.pk for group in self.cleaned_data["groups"]}
        if self.instance.pk:
            current = self.instance.groups.all()
            chosen |= {group.pk for group in current if not is_scope(group.name)}
        return Group.objects.filter(pk__in=chosen)


class ResourceForm(forms.ModelForm):  # type: ignore[type-arg]
    """The server is entered by its client id: a list could have a million clients."""

    scopes = ScopeField("What the API understands. Tick none if it understands all.")
    server_client = forms.CharField(
        label="Server",
        required=False,
        max_length=150,
        help_text="The client id of the API's own server, which may introspect the API's tokens.",
    )

    class Meta:
        model = Resource
        fields = ("identifier", "name", "scopes")
        help_texts = {
            "identifier": "An absolute URI, such as https://api.example.com/orders. It is the "
            "audience of the API's tokens.",
            "name": "What people call it.",
        }
        widgets = {"identifier": forms.TextInput({"class": "vTextField", "maxlength": MAX_LENGTH})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["server_client"] = getattr(self.instance.server, "username", "")

    def clean_server_client(self) -> Client | None:
        client_id = self.cleaned_data["server_client"]
        if not client_id:
            return None
        client = Client.objects.filter(username=client_id).first()
        if client is None:
            raise ValidationError("There is no client with this id.")
        return client


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
    expires = SecretExpiryField("The new secret expires")
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
    expires = ExpiryField(
        "Expires", "The first day on which the key is refused. Leave empty for never."
    )

    def clean_key(self) -> list[GivenKey]:
        try:
            return public_keys.read(self.cleaned_data["key"])
        except UnusableKeyError as error:
            raise ValidationError(str(error)) from error
