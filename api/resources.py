"""Create resources, grant them to clients, and select the one that a token is for (RFC 8707)."""

from collections.abc import Collection, Iterable, Sequence

from django.core.exceptions import ValidationError
from django.db import transaction

from api import identifiers
from api.credentials import Login
from api.models import Client, Resource, ResourceGrant
from api.scopes import get_or_create_scopes
from api.standing import GrantedResource, look_up_resource


class ResourceNotGrantedError(Exception):
    """The requested resource is malformed or unknown, or the client is not granted it."""


class SeveralResourcesError(Exception):
    """The client requested a token for several resources."""


def select(login: Login, requested: Sequence[object]) -> GrantedResource | None:
    """Return the resource that a token is for, or `None` for this service.

    Without a request it is the client's default one. One query if a resource is named.
    Raises `ResourceNotGrantedError`, `SeveralResourcesError`.
    """
    if len(requested) > 1:
        raise SeveralResourcesError
    identifier = requested[0] if requested else login.client.default_resource
    if identifier is None or identifiers.is_this_service(identifier):
        return None
    granted = None
    if isinstance(identifier, str) and identifiers.is_absolute(identifier):
        granted = look_up_resource(login.client_id, identifier)
    if granted is None:
        raise ResourceNotGrantedError
    return granted


def find(identifier: str) -> Resource:
    """Return the resource of this name, in either spelling. Raises `ValidationError`."""
    found = Resource.objects.filter(identifier__in=identifiers.spellings(identifier)).first()
    if found is None:
        raise ValidationError(f"There is no API {identifier!r}.")
    return found


def create_resource(
    identifier: str, *, name: str = "", scopes: Iterable[str] = (), server: str | None = None
) -> Resource:
    """Create a resource; `server` is the id of the client that is its server.

    Raises `ValidationError`.
    """
    resource = Resource(identifier=identifier, name=name)
    if server is not None:
        resource.server = Client.objects.filter(username=server).first()
        if resource.server is None:
            raise ValidationError(f"There is no client {server!r}.")
    resource.full_clean()
    with transaction.atomic():
        resource.save(force_insert=True)
        resource.scopes.set(get_or_create_scopes(scopes))
    return resource


def set_grants(
    client: Client, resources: Collection[Resource], default: Resource | None = None
) -> None:
    """Grant a client these resources and no others. The default one is granted too.

    Rows that stay are kept: tokens depend on them.
    """
    wanted = {*resources, default} - {None}
    with transaction.atomic():
        grants = ResourceGrant.objects.filter(client_id=client.pk)
        grants.exclude(resource__in=wanted).delete()
        grants.filter(is_default=True).exclude(resource=default).update(is_default=False)
        for resource in wanted:
            ResourceGrant.objects.update_or_create(
                client_id=client.pk,
                resource=resource,
                defaults={"is_default": resource == default},
            )
