"""The admin of a client's credentials: rotate, add and remove them, and revoke all tokens.

A new secret is shown only in the response to the request that made it. There is no redirect, so no
message, session or URL has to carry the secret to the next page.
"""

import json
import shlex
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from api import client_changes, client_keys, client_records, clients, expiry
from api.admin import charts
from api.admin.credential_table import removal_permission, rows
from api.admin.deletion import ExplainedDeletion
from api.admin.forms import KeyForm, RotationForm
from api.admin.records import actor, format_time, record_change
from api.jose import UnusableKeyError
from api.models import Client

INTRO = (
    "The client signs with its private key, which never leaves its machine. Paste the public key "
    "here."
)


class HiddenInLogs(str):
    """A string that debug logs hide: Django logs the context of a template by `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class CredentialsAdmin(ExplainedDeletion):
    """The pages of a client's credentials, which the list and the form of clients extend."""

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(self.rotate_view)
        revoke = self.admin_site.admin_view(self.revoke_view)
        add_key = self.admin_site.admin_view(self.add_key_view)
        remove = self.admin_site.admin_view(self.remove_view)
        return [
            path("<path:object_id>/rotate/", rotate, name="api_client_rotate"),
            path("<path:object_id>/revoke/", revoke, name="api_client_revoke"),
            path("<path:object_id>/add-key/", add_key, name="api_client_add_key"),
            path("<path:object_id>/remove/<str:credential>/", remove, name="api_client_remove"),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if client := context["original"]:
            context |= {
                "credentials": rows(client, request.user),
                "charts": charts.of_client(client),
                "may_add_key": request.user.has_perm("api.add_clientkey"),
                "may_add_identity": request.user.has_perm("api.add_workloadidentity"),
                "may_add_secret": request.user.has_perm("api.rotate_secret")
                and not client.has_usable_password(),
                "may_revoke": request.user.has_perm("api.revoke_tokens"),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self._get_client(request, object_id, "api.rotate_secret")
        form = RotationForm(
            request.POST or None, initial={"version": clients.secret_version(client)}
        )
        if request.method == "POST" and form.is_valid():
            try:
                return self._rotate(request, client, form)
            except clients.SecretChangedError as error:
                messages.error(request, f"{error} It was not rotated again.")
                return redirect("admin:api_client_rotate", object_id)
        ends_at = clients.grace_end(client)
        has_secret = client.has_usable_password()
        context = {
            "form": form,
            "grace_end": format_time(ends_at) if ends_at else "",
            "has_secret": has_secret,
        }
        title = "Rotate secret" if has_secret else "Add secret"
        return self._render(request, "rotate", client, title, context)

    def _rotate(self, request: HttpRequest, client: Client, form: RotationForm) -> HttpResponse:
        grace = timedelta(hours=int(form.cleaned_data["grace"]))
        with transaction.atomic():
            secret = clients.rotate_secret(
                client,
                grace=grace,
                version=form.cleaned_data["version"],
                expires_at=form.cleaned_data["expires"],
            )
            ends_at = clients.grace_end(client)
            ends = f"good until {format_time(ends_at)}" if ends_at else "no longer good"
            self.log_change(request, client, f"Rotated the secret; the old one is {ends}.")
        record_change(request, "secret_rotated", client=client.username)
        return self.show_once(
            request, client, secret, "Secret rotated", f"The old secret is {ends}."
        )

    def add_key_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self._get_client(request, object_id, "api.add_clientkey")
        form = KeyForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._add_keys(request, client, form):
            return redirect("admin:api_client_change", object_id)
        context = {"form": form, "intro": INTRO, "button": "Add key"}
        return self._render(request, "add_credential", client, "Add key", context)

    def _add_keys(self, request: HttpRequest, client: Client, form: KeyForm) -> bool:
        given, name = form.cleaned_data["key"], form.cleaned_data["name"]
        try:
            with transaction.atomic():
                expires_at = form.cleaned_data["expires"]
                added = client_keys.add(client, given, name=name, expires_at=expires_at)
                kids = [key.kid for key in added]
                self.log_change(request, client, f"Added key {', '.join(kids)}.")
        except UnusableKeyError as error:
            form.add_error(None, str(error))
            return False
        for kid in kids:
            record_change(request, "key_added", client=client.username, kid=kid)
        messages.success(request, f"{client} can log in with key {', '.join(kids)}.")
        return True

    def remove_view(self, request: HttpRequest, object_id: str, credential: str) -> HttpResponse:
        """Remove a credential, which `client_records.credentials` names, and end its tokens."""
        kind = credential.partition(":")[0]
        client = self._get_client(request, object_id, removal_permission(credential))
        names = {one["id"]: one["name"] for one in client_records.credentials(client)}
        if credential not in names:
            raise Http404
        what = f"{kind.replace('_', ' ')} {names[credential]}".rstrip()
        if request.method != "POST":
            return self._render(request, "remove", client, f"Remove {what}", {"what": what})
        try:
            with transaction.atomic():
                client_changes.end_credential(client, credential, actor=actor(request))
                self.log_change(request, client, f"Removed {what}.")
        except clients.SecretChangedError as error:
            messages.error(request, f"{error} It was not removed.")
            return redirect("admin:api_client_remove", object_id, credential)
        except client_changes.NoSuchCredentialError:  # removed by somebody else meanwhile
            raise Http404 from None
        messages.success(request, f"The {what} is removed, and its tokens have ended.")
        return redirect("admin:api_client_change", object_id)

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self._get_client(request, object_id, "api.revoke_tokens")
        if request.method != "POST":
            return self._render(request, "revoke", client, "Revoke all tokens", {})
        with transaction.atomic():
            client_changes.revoke_tokens(client, actor=actor(request))
            self.log_change(request, client, "Revoked all tokens.")
        messages.success(request, f"All tokens of {client} are revoked.")
        return redirect("admin:api_client_change", object_id)

    def _get_client(self, request: HttpRequest, object_id: str, permission: str) -> Client:
        """Check the permission and return the client. Raises `PermissionDenied`, `Http404`."""
        if not (self.has_view_permission(request) and request.user.has_perm(permission)):
            raise PermissionDenied
        client: Client | None = self.get_object(request, unquote(object_id))
        if client is None:
            raise Http404
        return client

    def show_once(
        self, request: HttpRequest, client: Client, secret: str, title: str, note: str = ""
    ) -> HttpResponse:
        """Show a new secret in the response to the request that made it."""
        credentials = {"client_id": client.username, "client_secret": secret}
        body = json.dumps(credentials, separators=(",\n    ", ": "))  # a line for each
        curl = (
            "curl --header 'Content-Type: application/json' --request POST \\\n"
            f"  --data {shlex.quote(body)} \\\n  {settings.PUBLIC_URL}/login"
        )
        expires_at = expiry.of(client)
        context = {
            "secret": HiddenInLogs(secret),
            "curl": HiddenInLogs(curl),
            "note": note,
            "expires": format_time(expires_at) if expires_at else "never",
        }
        return self._render(request, "secret", client, title, context)

    def _render(
        self,
        request: HttpRequest,
        template: str,
        client: Client,
        title: str,
        context: dict[str, Any],
    ) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/api/client/{template}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": client,
                "title": title,
                **context,
            },
        )
