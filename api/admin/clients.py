"""The admin of clients: the list, which is fast for a million (see `client_list.py`), and the form.

`credentials.py` has the pages for a client's credentials.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from api import client_changes, client_search, clients, resources
from api.admin import client_list
from api.admin.bulk import BulkAdmin
from api.admin.credential_table import rows
from api.admin.forms import ClientForm, offer_new_scope
from api.admin.records import actor, format_time, record_change
from api.client_changes import Changes
from api.credentials import TAKEN
from api.models import Client
from api.scopes import is_scope


class AlreadyAddedError(Exception):
    """The client of this id was added by an earlier request with the same form."""


@admin.register(Client)
class ClientAdmin(BulkAdmin):
    form = ClientForm
    list_display = ("client_id", "name", "active", "scopes", "last_used", "created")
    list_filter = (
        "is_active",
        client_list.ScopeFilter,
        client_list.ResourceFilter,
        client_list.LastUsedFilter,
        client_list.ExpiryFilter,
    )
    search_fields = ("username", "first_name")
    search_help_text = (
        "The beginning of a client id, or of words in a name; "
        f"at most {client_list.MAX_LISTED:,} are listed."
    )
    sortable_by = ("client_id", "created")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = client_list.BoundedPaginator
    # No "select all": a truncated list has more clients than it shows.
    actions_selection_counter = False
    readonly_fields = ("client_id", "last_used", "created")
    grants = ("apis", "default_api")

    @admin.display(description="client id", ordering="username")
    def client_id(self, client: Client) -> str:
        return client.username

    @admin.display(description="name")
    def name(self, client: Client) -> str:
        return client.first_name

    @admin.display(description="active", boolean=True)
    def active(self, client: Client) -> bool:
        return client.is_active

    @admin.display(description="scopes")
    def scopes(self, client: Client) -> str:
        names = sorted(group.name for group in client.groups.all())
        return " ".join(filter(is_scope, names))

    @admin.display(description="last used")
    def last_used(self, client: Client) -> str:
        return format_time(client.last_login) if client.last_login else "never"

    @admin.display(description="created", ordering="pk")
    def created(self, client: Client) -> str:
        return format_time(client.date_joined)

    @admin.display(description="APIs")
    def apis(self, client: Client) -> str:
        """List the APIs for staff who may view the client but not change it."""
        return ", ".join(str(resource) for resource in client.resources.all())

    @admin.display(description="default API")
    def default_api(self, client: Client) -> str:
        grant = client.resource_grants.filter(is_default=True).first()
        return str(grant.resource) if grant else "This service"

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the filters of the list. `password__startswith` could reveal a hash."""
        return lookup in {"is_active__exact", "scope", "api", "last_used", "expires"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return client_list.ordering(request.GET)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Client], search_term: str
    ) -> tuple[QuerySet[Client], bool]:
        return client_search.search(queryset, search_term.strip()), False

    def get_fields(self, request: HttpRequest, obj: Client | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("new_id", "first_name", "groups", *self.grants, "secret_expires")
        return (
            *("first_name", "is_active", "groups", *self.grants, "auth_method"),
            *self.readonly_fields,
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add a client once. The form has its id, so a reload or a double click finds it taken."""
        try:
            return super().add_view(request, form_url, extra_context)
        except AlreadyAddedError as error:
            client = get_object_or_404(Client, username=str(error))
            messages.warning(
                request,
                "This client is already added, and its secret was shown. If it is lost, rotate it.",
            )
            return redirect("admin:api_client_change", client.pk)
        except ValidationError as error:  # of what was right when the form was checked
            messages.error(request, " ".join(error.messages))
            return redirect("admin:api_client_add")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer only one save button, because the next page always shows the new secret."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        offer_new_scope(context["adminform"].form, "groups", request.user)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        granted, default = (form.cleaned_data[name] for name in self.grants)
        if not change:
            given = Changes(
                name=obj.first_name,
                scopes=[group.name for group in form.cleaned_data["groups"]],
                resources=granted,
                default_resource=default,
            )
            new_id = str(form.cleaned_data["new_id"] or "")
            try:
                client, obj.secret = client_changes.create(
                    given,
                    client_id=new_id,
                    secret_expires_at=form.cleaned_data["secret_expires"],
                    actor=actor(request),
                )
            except ValidationError as error:
                if error.messages == [TAKEN]:
                    raise AlreadyAddedError(new_id) from error
                raise
            obj.pk, obj.username = client.pk, client.username
            return
        changed = set(form.changed_data)
        # Save only the edited fields: a whole row would undo a rotation in the meantime.
        obj.save(update_fields=changed - {"is_active", "groups", "auth_method", *self.grants})
        if changed.intersection(self.grants):
            resources.set_grants(obj, granted, default)
        if "auth_method" in changed:
            clients.restrict(obj, form.cleaned_data["auth_method"])
        if "is_active" in changed:
            client_changes.switch(obj, active=obj.is_active, actor=actor(request))
        if changed - {"is_active"}:
            record_change(request, "client_changed", client=obj.username)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self.show_once(request, obj, obj.secret, "Client added")

    def consequences(self, request: HttpRequest, client: Client) -> Iterator[str]:
        used = (
            f"It was last used at {format_time(client.last_login)}"
            if client.last_login
            else "It was never used"
        )
        yield f"{used}. All its tokens end at once."
        if names := ", ".join(row.name for row in rows(client, request.user)):
            yield f"Its credentials end: {names}."
        if served := ", ".join(map(str, client.served_resources.all())):
            yield f"It is the server of {served}, which can't introspect tokens any more."

    def delete_model(self, request: HttpRequest, obj: Client) -> None:
        client_changes.delete(obj, actor=actor(request))
