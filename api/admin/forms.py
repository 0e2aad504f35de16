"""The forms for editing a client and for rotating its secret."""

from django import forms
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from api import credentials
from api.models import Client

GRACE_PERIODS = {"0": "now", "1": "in 1 hour", "24": "in 24 hours", "168": "in 7 days"}  # hours


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Client
        fields = ("first_name", "is_active", "groups")
        labels = {"first_name": "Name", "groups": "Scopes"}
        help_texts = {
            "first_name": "Who or what uses this client.",
            "is_active": "An inactive client can't log in, and its tokens are refused at once.",
            "groups": "What the client's tokens may allow.",
        }

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
