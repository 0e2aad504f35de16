"""Trust issuers, and map their subjects to clients. Only staff may do this."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from api.fetch import FetchError, check_url
from api.issuers import UnusableKeysError, discover, read_jwks
from api.models import Client, TrustedIssuer, WorkloadIdentity

SPIFFE = "spiffe://"
GITHUB = "https://token.actions.githubusercontent.com"
# GitHub's newer subjects have the ids in them: `repo:octo@123/app@456:ref:refs/heads/main`.
_IMMUTABLE_GITHUB = re.compile(r"repo:[^/:@]+@[0-9]+/[^/:@]+@[0-9]+(:.*)?")


def key_columns(url: str, *, given: str, is_internal: bool) -> dict[str, Any]:
    """Return an issuer's keys by their columns: the given ones, or else those it publishes.

    Raises `ValidationError`.
    """
    try:
        if given:
            return {"given_jwks": read_jwks(json.loads(given))}
        now = timezone.now()
        fetched = discover(url, is_internal=is_internal)
    except (ValueError, RecursionError):
        raise ValidationError({"given_jwks": "The JWK Set is not JSON."}) from None
    except UnusableKeysError as error:
        raise ValidationError({"given_jwks": str(error)}) from error
    except FetchError as error:
        raise ValidationError({"url": f"The issuer's keys cannot be fetched. {error}"}) from error
    return {"given_jwks": "", "fetched_jwks": fetched, "tried_at": now, "fetched_at": now}


def check_issuer(url: str, *, given: str) -> None:
    """Refuse an unusable issuer URL. Raises `ValidationError`."""
    if url.startswith(SPIFFE):
        if not given:
            raise ValidationError({"url": "Give the keys of a SPIFFE trust domain: its bundle."})
        return
    try:
        check_url(url)
    except FetchError as error:
        raise ValidationError({"url": str(error)}) from error


def trust_issuer(
    url: str, *, name: str = "", audience: str = "", is_internal: bool = False, given: str = ""
) -> TrustedIssuer:
    """Trust an issuer, or replace what is known about it. Raises `ValidationError`."""
    check_issuer(url, given=given)
    columns = key_columns(url, given=given, is_internal=is_internal)  # before SQLite is locked
    with transaction.atomic():
        issuer = TrustedIssuer.objects.filter(url=url).first() or TrustedIssuer(url=url)
        issuer.name, issuer.audience, issuer.is_internal = name, audience, is_internal
        for column, value in columns.items():
            setattr(issuer, column, value)
        issuer.full_clean()
        issuer.save()
    return issuer


def add_identity(
    client: Client, issuer: TrustedIssuer, subject: str, claims: Mapping[str, str]
) -> WorkloadIdentity:
    """Let a subject of an issuer log in as a client. Raises `ValidationError`."""
    check_claims(issuer.url, subject, claims)
    identity = WorkloadIdentity(
        client_id=client.pk, issuer=issuer, subject=subject, claims=dict(claims)
    )
    identity.full_clean()
    identity.save()
    return identity


def parse_claim(text: str) -> tuple[str, str]:
    """Return the name and the value in `NAME=VALUE`. Raises `ValidationError`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValidationError(f"{text!r} is not a claim such as NAME=VALUE.")
    return name, value


def check_claims(issuer_url: str, subject: str, claims: Mapping[str, str]) -> None:
    """Demand an immutable claim beside a subject that is made of names.

    After a rename, somebody else can take over the old name, and gets the same subject.
    Raises `ValidationError`.
    """
    wanted: tuple[str, ...] = ()
    if subject.startswith("project_path:"):
        wanted = ("project_id", "namespace_id")
    elif subject.startswith("repo:") or issuer_url.startswith(GITHUB):
        wanted = ("repository_id", "repository_owner_id")
    if not wanted or wanted[0] in claims or wanted[1] in claims:
        return
    if _IMMUTABLE_GITHUB.fullmatch(subject):
        return
    raise ValidationError(
        {
            "claims": f"After a rename, somebody else can take over this subject. Add the claim "
            f"{wanted[0]} or {wanted[1]}, which never changes."
        }
    )
