"""The admin of trusted issuers."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from api import issuers, trust
from api.admin.client_list import MAX_NAMED
from api.admin.deletion import ExplainedDeletion
from api.admin.records import format_time, record_change
from api.models import TrustedIssuer, WorkloadIdentity

READ_WHEN_CHANGED = {"url", "is_internal", "given_jwks"}  # a change reads the keys again


class IssuerForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = TrustedIssuer
        fields = ("url", "name", "audience", "is_internal", "given_jwks")
        help_texts = {
            "url": "What the iss of its tokens says, to the letter.",
            "audience": "The only aud that its tokens may have. Leave empty for PUBLIC_URL.",
            "is_internal": "The issuer's address may be a private one.",
            "given_jwks": "A JWK Set. Leave empty to fetch the keys from the issuer.",
        }

    columns: dict[str, Any] = {}

    def clean(self) -> dict[str, Any] | None:
        """Read the keys, so that an issuer is trusted only if its keys are there."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors or not READ_WHEN_CHANGED.intersection(self.changed_data):
            return cleaned
        url, given = cleaned.get("url", self.instance.url), cleaned["given_jwks"].strip()
        try:
            trust.check_issuer(url, given=given)
            is_internal = cleaned["is_internal"]
            self.columns = trust.key_columns(url, given=given, is_internal=is_internal)
        except ValidationError as error:
            # The URL of an issuer that exists is not a field of the form.
            named = error.error_dict.keys() <= self.fields.keys()
            raise error if named else ValidationError(error.messages) from error
        return cleaned


@admin.register(TrustedIssuer)
class TrustedIssuerAdmin(ExplainedDeletion):
    """Staff can add, change and delete issuers. Deleting one deletes its identities."""

    form = IssuerForm
    list_display = ("url", "name", "keys", "last_fetched", "identities")
    list_display_links = ("url",)
    actions = None  # deleting one asks first, on a page that lists its identities

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return False  # the list has no filter

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrustedIssuer]:
        rows: QuerySet[TrustedIssuer] = super().get_queryset(request)
        return rows.annotate(number=Count("identities"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the URL: with another one, the identities would be those of another issuer."""
        return ("url", "keys", "last_fetched") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        shown = ("keys", "last_fetched") if obj else ()
        return (*IssuerForm.Meta.fields, *shown)

    @admin.display(description="key ids")
    def keys(self, issuer: TrustedIssuer) -> str:
        return " ".join(issuers.load(issuer.given_jwks or issuer.fetched_jwks))

    @admin.display(description="keys fetched", ordering="fetched_at")
    def last_fetched(self, issuer: TrustedIssuer) -> str:
        if issuer.given_jwks or not issuer.fetched_at:
            return "never, they were given"
        failed = issuer.tried_at and issuer.tried_at > issuer.fetched_at
        return format_time(issuer.fetched_at) + ("; the last try failed" if failed else "")

    @admin.display(description="identities", ordering="number")
    def identities(self, issuer: Any) -> int:
        return int(issuer.number)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save only what was edited: a whole row would undo a fetch in the meantime."""
        for column, value in form.columns.items():
            setattr(obj, column, value)
        changed = {*form.changed_data, *form.columns}
        obj.save(update_fields=changed if change else None)
        record_change(request, "issuer_changed" if change else "issuer_trusted", issuer=obj.url)

    def consequences(self, request: HttpRequest, issuer: TrustedIssuer) -> Iterator[str]:
        identities = WorkloadIdentity.objects.filter(issuer=issuer).select_related("client")
        some = [f"{one} ({one.client.username})" for one in identities[: MAX_NAMED + 1]]
        more = " and others" if some[MAX_NAMED:] else ""
        named = ", ".join(some[:MAX_NAMED]) or "none"
        yield f"Its identities are removed, and their tokens end at once: {named}{more}."

    def delete_model(self, request: HttpRequest, obj: TrustedIssuer) -> None:
        super().delete_model(request, obj)
        record_change(request, "issuer_deleted", issuer=obj.url)
