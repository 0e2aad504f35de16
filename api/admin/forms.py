"""What staff may fill in about a client."""

from django import forms
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from api import credentials
from api.models import Client

GRACES = {"0": "now", "1": "in 1 hour", "24": "in 24 hours", "168": "in 7 days"}  # by hours


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Client
        fields = ("first_name", "is_active", "groups")
        labels = {"first_name": "Name", "groups": "Scopes"}
        help_texts = {
            "first_name": "Who or what uses these credentials.",
            "is_active": "An inactive client can't log in, and its tokens are refused at once.",
            "groups": "What the client may ask for in a token.",
        }

    def clean_groups(self) -> QuerySet[Group]:
        """Keep the client in the groups that are no scopes, and so were not on offer."""
        chosen = {group.pk for group in self.cleaned_data["groups"]}
        if self.instance.pk:
            current = self.instance.groups.all()
            chosen |= {group.pk for group in current if not credentials.is_scope(group.name)}
        return Group.objects.filter(pk__in=chosen)


class RotationForm(forms.Form):
    """When the old secret ends, and which one it is.

    A page that is sent twice, by a double click or a reload, would otherwise rotate twice: the
    first new secret would never be seen, and the old one lose its grace.
    """

    grace = forms.ChoiceField(
        label="The old secret ends",
        choices=list(GRACES.items()),
        widget=forms.RadioSelect,
        initial="24",
    )
    version = forms.CharField(widget=forms.HiddenInput)
