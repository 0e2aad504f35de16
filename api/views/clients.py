"""Manage clients, their credentials and tokens."""

from collections.abc import Collection
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import ViewSet

from api import client_changes, client_records, client_search, delegation
from api.client_changes import Actor, Changes
from api.delegation import Caller
from api.exceptions import AccessDenied, ChangedMeanwhile
from api.openapi.operations import Describe
from api.pagination import NewestFirst
from api.permissions import StillHasScope, current_scopes
from api.scopes import CLIENTS_READ, CLIENTS_WRITE
from api.serializers import (
    ClientChangesSerializer,
    ClientQuerySerializer,
    NewClientSerializer,
    NothingSerializer,
    RotationSerializer,
    StrictSerializer,
    UsageQuerySerializer,
)
from api.throttling.address import client_address

USAGE_SHOWN = timedelta(days=7)  # unless asked for more


class ClientViewSet(ViewSet):
    """Clients, for programs that manage them.

    Reading needs the scope `clients:read`, and anything else `clients:write`. Nobody gets more than
    the caller's own token has: see `api/delegation.py`.
    """

    permission_classes = (StillHasScope,)
    pagination_class = NewestFirst
    lookup_field = "client_id"
    lookup_value_converter = "client_id"

    @property
    def required_scopes(self) -> tuple[str, ...]:
        return (CLIENTS_READ,) if self.request.method in SAFE_METHODS else (CLIENTS_WRITE,)

    @Describe(returns="Client", query=ClientQuerySerializer)
    def list(self, request: Request) -> Response:
        """List clients, the newest first."""
        conditions = _read(ClientQuerySerializer, _query(request))
        conditions.pop("cursor", None)
        start = conditions.pop("search", "")
        found = client_search.search(client_search.find_clients(**conditions), start)
        pages = self.pagination_class()
        page = pages.paginate_queryset(client_records.with_details(found), request, self) or ()
        return pages.get_paginated_response([client_records.describe(client) for client in page])

    @Describe(
        takes=NewClientSerializer,
        returns="CreatedClient",
        status=status.HTTP_201_CREATED,
        headers=("ETag", "Location"),
        errors=(AccessDenied(),),
    )
    def create(self, request: Request) -> Response:
        """Create a client.

        Only this response shows the secret. With `jwks`, the client has keys and no secret.
        """
        asked = _read(NewClientSerializer, request.data)
        client, secret = client_changes.create(
            self._changes(asked),
            keys=asked.get("jwks") or (),
            secret_expires_at=asked.get("secret_expires_at"),
            actor=self.actor,
        )
        shown = {"client_secret": secret} if secret else {}
        response = self._show(client.username, status.HTTP_201_CREATED, **shown)
        response["Location"] = reverse("client", (client.username,), request=request)
        return response

    @Describe(returns="Client", headers=("ETag",))
    def retrieve(self, request: Request, client_id: str) -> Response:
        """Show a client."""
        return self._show(client_id)

    @Describe(
        takes=ClientChangesSerializer,
        returns="Client",
        headers=("ETag",),
        errors=(AccessDenied(), ChangedMeanwhile()),
    )
    def partial_update(self, request: Request, client_id: str) -> Response:
        """Change a client.

        Activating it brings back neither its old tokens nor a previous secret.
        """
        asked = _read(ClientChangesSerializer, request.data)
        with delegation.changing(client_id, self.caller, _if_match(request)) as client:
            client_changes.update(client, self._changes(asked), actor=self.actor)
            return self._show(client_id)

    @Describe(status=status.HTTP_204_NO_CONTENT, errors=(AccessDenied(), ChangedMeanwhile()))
    def destroy(self, request: Request, client_id: str) -> Response:
        """Delete a client."""
        with delegation.changing(client_id, self.caller, _if_match(request)) as client:
            client_changes.delete(client, actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @Describe(
        takes=RotationSerializer,
        returns="CreatedClient",
        headers=("ETag",),
        errors=(AccessDenied(), ChangedMeanwhile()),
    )
    @action(methods=["post"], detail=True)
    def secret(self, request: Request, client_id: str) -> Response:
        """Rotate the secret of a client.

        Only this response shows it. The old secret stays good for `grace` seconds, or ends now.
        """
        asked = _read(RotationSerializer, request.data)
        with delegation.changing(client_id, self.caller, _if_match(request)) as client:
            secret = client_changes.rotate_secret(
                client,
                grace=timedelta(seconds=asked.get("grace", 0)),
                expires_at=asked.get("expires_at"),
                actor=self.actor,
            )
            return self._show(client_id, client_secret=secret)

    @Describe(returns="Credentials")
    @action(detail=True)
    def credentials(self, request: Request, client_id: str) -> Response:
        """List the credentials of a client, and when each was last used."""
        listed = client_records.credentials(client_records.find(client_id))
        return Response({"credentials": listed})

    @Describe(status=status.HTTP_204_NO_CONTENT, errors=(AccessDenied(), ChangedMeanwhile()))
    @action(
        methods=["delete"],
        detail=True,
        url_path="credentials/<str:credential>",
        url_name="credential",
    )
    def end_credential(self, request: Request, client_id: str, credential: str) -> Response:
        """End a credential of a client, and its tokens."""
        with delegation.changing(client_id, self.caller, _if_match(request)) as client:
            client_changes.end_credential(client, credential, actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @Describe(
        takes=NothingSerializer,
        status=status.HTTP_204_NO_CONTENT,
        errors=(AccessDenied(), ChangedMeanwhile()),
    )
    @action(methods=["post"], detail=True)
    def revocation(self, request: Request, client_id: str) -> Response:
        """Revoke all tokens of a client. Its credentials stay good."""
        _read(NothingSerializer, request.data)
        with delegation.changing(client_id, self.caller, _if_match(request)) as client:
            client_changes.revoke_tokens(client, actor=self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @Describe(returns="Usage", query=UsageQuerySerializer)
    @action(detail=True)
    def usage(self, request: Request, client_id: str) -> Response:
        """Show how often a client logged in and failed, by the hour."""
        asked = _read(UsageQuerySerializer, _query(request))
        since = asked.get("since", timezone.now() - USAGE_SHOWN)
        hours = client_records.usage(client_records.find(client_id), since)
        return Response({"hours": hours})

    @cached_property
    def caller(self) -> Caller:
        return Caller(self.request.user.get_username(), current_scopes(self.request))

    @cached_property
    def actor(self) -> Actor:
        address = client_address(self.request._request)
        return {"by": self.request.user.get_username(), "address": address}

    def _changes(self, asked: dict[str, Any]) -> Changes:
        """Return what the caller asks for. Raises `NotHeldError` if the caller does not hold it."""
        scopes, named = asked.get("scope"), asked.get("resources")
        self.caller.check_scopes(scopes or ())
        return Changes(
            name=asked.get("client_name"),
            active=asked.get("active"),
            scopes=scopes,
            resources=None if named is None else self.caller.select_resources(named),
        )

    def _show(self, client_id: str, status: int = status.HTTP_200_OK, **more: str) -> Response:
        client = client_records.find(client_id)
        shown = client_records.describe(client) | more
        return Response(shown, status, headers={"ETag": f'"{delegation.version(client)}"'})


def _read(serializer_class: type[StrictSerializer], data: Any) -> dict[str, Any]:
    """Return the validated values. Raises DRF's `ValidationError`."""
    serializer = serializer_class(data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _query(request: Request) -> dict[str, Any]:
    """Return the query. A repeated parameter stays a list, which no field takes."""
    values = dict(request.query_params.lists())
    return {name: given[0] if len(given) == 1 else given for name, given in values.items()}


def _if_match(request: Request) -> Collection[str] | None:
    """Return the versions that the request demands (RFC 9110 §13.1.1), or `None` for any."""
    header = request.headers.get("If-Match", "*")
    if header == "*":
        return None
    return [tag.strip('"') for tag in parse_etags(header)]  # a weak one keeps its W and fits none
