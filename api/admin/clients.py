"""The admin of clients: the list, which is fast for a million (see `client_list.py`), and the form.

`credentials.py` has the pages for a client's credentials.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from api import client_search, clients, resources, tokens
from api.admin import client_list
from api.admin.forms import ClientForm, scope_field
from api.admin.identities import IdentitiesAdmin
from api.admin.records import activation_event, format_time, record_change
from api.credentials import create_client
from api.models import Client
from api.scopes import is_scope


@admin.register(Client)
class ClientAdmin(IdentitiesAdmin):
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
        f"The beginning of a client id or a name; at most {client_list.MAX_LISTED:,} are listed."
    )
    sortable_by = ("client_id", "created")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = client_list.BoundedPaginator
    actions = ("activate", "deactivate")
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
            return ("first_name", "groups", *self.grants, "secret_expires")
        return (
            *("first_name", "is_active", "groups", *self.grants, "auth_method"),
            *self.readonly_fields,
        )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= scope_field()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer only one save button, because the next page always shows the new secret."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            scopes = [group.name for group in form.cleaned_data["groups"]]
            client, obj.secret = create_client(
                name=obj.first_name,
                scopes=scopes,
                secret_expires_at=form.cleaned_data["secret_expires"],
            )
            obj.pk, obj.username = client.pk, client.username
            self._set_grants(client, form)
            record_change(request, "client_created", client=obj.username)
            return
        changed = set(form.changed_data)
        # Save only the edited fields: a whole row would undo a rotation in the meantime.
        obj.save(update_fields=changed - {"groups", "auth_method", *self.grants})
        if changed.intersection(self.grants):
            self._set_grants(obj, form)
        if "auth_method" in changed:
            clients.restrict(obj, form.cleaned_data["auth_method"])
        if "is_active" in changed:
            record_change(request, activation_event(active=obj.is_active), client=obj.username)
        if changed - {"is_active"}:
            record_change(request, "client_changed", client=obj.username)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self.show_once(request, obj, obj.secret, "Client added")

    def delete_model(self, request: HttpRequest, obj: Client) -> None:
        super().delete_model(request, obj)
        record_change(request, "client_deleted", client=obj.username)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        clients = list(queryset)
        super().delete_queryset(request, queryset)
        for client in clients:
            record_change(request, "client_deleted", client=client.username)

    @admin.action(description="Activate selected clients", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_active(request, queryset, active=True)

    @admin.action(description="Deactivate selected clients", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        self._set_active(request, queryset, active=False)

    def _set_grants(self, client: Client, form: ClientForm) -> None:
        granted, default = (form.cleaned_data[name] for name in self.grants)
        resources.set_grants(client, granted, default)

    def _set_active(
        self, request: HttpRequest, queryset: QuerySet[Client], *, active: bool
    ) -> None:
        staff: Any = request.user.pk
        with transaction.atomic():
            clients = queryset.filter(is_active=not active)
            switched = list(clients.select_for_update())
            if not active:
                tokens.revoke_all(clients)  # or activating the clients would revive them
            clients.update(is_active=active)
            message = "Activated." if active else "Deactivated."
            LogEntry.objects.log_actions(staff, switched, CHANGE, message)
        for client in switched:
            record_change(request, activation_event(active=active), client=client.username)
        verb = "activated" if active else "deactivated"
        messages.success(request, f"{len(switched)} of the selected clients were {verb}.")
