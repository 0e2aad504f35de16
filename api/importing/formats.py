"""Read clients from files of this and other login services.

`read_rows` knows CSV and JSON lines of our own, and `dumpdata` of django-oauth-toolkit and of
Django's users. It also knows a client list of Hydra and a realm of Keycloak. It yields a `Row` or a
`Refusal` for each client, so one bad row stops no other.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from api.importing.rows import ImportedIdentity, ImportedKey, Refusal, RefusedError, Row

COLUMNS = {
    *("client_id", "client_name", "scope", "active"),
    *("client_secret", "client_secret_hash", "client_secret_expires_at"),
    *("resources", "default_resource", "token_endpoint_auth_method"),
}
MEMBERS = COLUMNS | {"keys", "identities"}  # of JSON
ACTIVE, INACTIVE = {"", "none", "true", "1", "yes"}, {"false", "0", "no"}
# Scopes that every realm of Keycloak has, for people.
KEYCLOAK_SCOPES = {
    *("acr", "address", "basic", "email", "microprofile-jwt", "offline_access", "organization"),
    *("phone", "profile", "role_list", "roles", "service_account", "web-origins"),
}


class UnknownFormatError(ValueError):
    """The file as a whole cannot be read. The message says why."""


def read_rows(file: TextIO) -> Iterator[Row | Refusal]:
    """Yield the clients of a file. Raises `UnknownFormatError`."""
    text = file.read().removeprefix("\ufeff")
    if text.lstrip().startswith(("{", "[")):
        yield from _read_json(text)
    else:
        reader = csv.DictReader(text.splitlines())
        unknown = set(reader.fieldnames or ()) - COLUMNS
        if unknown or "client_id" not in (reader.fieldnames or ()):
            raise UnknownFormatError(
                f"The first line must name columns among {', '.join(sorted(COLUMNS))}."
            )
        yield from _convert(reader, _own)


def _read_json(text: str) -> Iterator[Row | Refusal]:
    try:
        document = json.loads(text)
    except ValueError:
        yield from _convert(_json_lines(text), _own)
        return
    match document:
        case {"realm": str(), "clients": list(found)}:
            yield from _convert(found, _keycloak)
        case {"items": list(found)}:
            yield from _convert(found, _hydra)
        case [{"model": _}, *_]:
            yield from _read_dump(document)
        case list(found):
            yield from _convert(found, _hydra)
        case _:
            yield from _convert([document], _own)


def _json_lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except ValueError:
            raise UnknownFormatError(f"Line {number} is not JSON.") from None


def _read_dump(objects: list[Any]) -> Iterator[Row | Refusal]:
    """Read what `manage.py dumpdata` of another Django project wrote."""
    groups = {one.get("pk"): one["fields"]["name"] for one in objects if _is(one, "auth.group")}
    applications = [one["fields"] for one in objects if _is(one, "oauth2_provider.application")]
    if applications:
        yield from _convert(applications, _application)
    else:
        users = [one["fields"] for one in objects if _is(one, "auth.user")]
        yield from _convert(users, lambda fields: _user(fields, groups))


def _is(dumped: Mapping[str, Any], model: str) -> bool:
    return str(dumped.get("model")).lower() == model


def _convert(found: Iterable[Any], convert: Any) -> Iterator[Row | Refusal]:
    for number, one in enumerate(found, 1):
        if not isinstance(one, Mapping):
            yield Refusal(f"number {number}", "It is no object.")
            continue
        names = (one.get(name) for name in ("client_id", "clientId", "username"))
        client_id = str(next(filter(None, names), f"number {number}"))
        try:
            yield convert(one)
        except RefusedError as error:
            yield Refusal(client_id, str(error))
        except (KeyError, TypeError, AttributeError, ValueError):
            yield Refusal(client_id, "A member is missing or of a wrong type.")


def _own(found: Mapping[str, Any]) -> Row:
    """Read our own form, with the names of RFC 7591 §2 and the hash beside them."""
    unknown = {str(name) for name in found} - MEMBERS
    if unknown:
        raise RefusedError(f"It has unknown members: {', '.join(sorted(unknown))}.")
    active = str(found.get("active", "")).lower()
    if active not in ACTIVE | INACTIVE:
        raise RefusedError("Its active is neither true nor false.")
    return Row(
        found["client_id"],
        found.get("client_name") or "",
        tuple((found.get("scope") or "").split()),
        active in ACTIVE,
        found.get("client_secret") or "",
        found.get("client_secret_hash") or "",
        _moment(found.get("client_secret_expires_at") or 0),
        tuple((found.get("resources") or "").split()),
        found.get("default_resource") or "",
        found.get("token_endpoint_auth_method") or "",
        tuple(_key(**one) for one in found.get("keys") or ()),
        tuple(ImportedIdentity(**one) for one in found.get("identities") or ()),
    )


def _key(jwk: Mapping[str, Any], name: str = "", expires_at: Any = 0) -> ImportedKey:
    return ImportedKey(jwk, name, _moment(expires_at))


def _moment(seconds: Any) -> datetime | None:
    """Read a time in seconds since 1970; 0 is never (RFC 7591 §3.2.1)."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC) if int(seconds) else None
    except (OverflowError, OSError) as error:
        raise ValueError from error


def _application(fields: Mapping[str, Any]) -> Row:
    """Read an application of django-oauth-toolkit."""
    if fields["client_type"] != "confidential":
        raise RefusedError("It is a public client, which has no secret.")
    if fields["authorization_grant_type"] != "client-credentials":
        raise RefusedError("Its grant type is not client-credentials.")
    secret = fields["client_secret"]
    is_hash = fields.get("hash_client_secret", True) and "$" in secret
    name = fields.get("name") or ""
    if is_hash:
        return Row(fields["client_id"], name, hash=secret)
    return Row(fields["client_id"], name, secret=secret)


def _user(fields: Mapping[str, Any], groups: Mapping[Any, str]) -> Row:
    """Read a user of another Django project. Its groups are numbers or natural keys."""
    if fields["is_staff"] or fields["is_superuser"]:
        raise RefusedError("It is staff, not a client.")
    names = [one[0] if isinstance(one, list) else groups.get(one) for one in fields["groups"]]
    if None in names:
        raise RefusedError("Its groups are missing; dump auth.group too.")
    name = f"{fields['first_name']} {fields['last_name']}".strip()
    scopes = tuple(map(str, names))
    return Row(fields["username"], name, scopes, fields["is_active"], hash=fields["password"])


def _hydra(found: Mapping[str, Any]) -> Row:
    """Read a client of Hydra, whose secret may be a hash."""
    grant_types = found.get("grant_types") or ["client_credentials"]
    if "client_credentials" not in grant_types:
        raise RefusedError("Its grant types lack client_credentials.")
    secret = found.get("client_secret") or ""
    client_id, name = found["client_id"], found.get("client_name") or ""
    scopes = tuple((found.get("scope") or "").split())
    if secret.startswith("$"):
        return Row(client_id, name, scopes, hash=secret)
    return Row(client_id, name, scopes, secret=secret)


def _keycloak(found: Mapping[str, Any]) -> Row:
    """Read a client of a Keycloak realm."""
    if found.get("publicClient") or found.get("bearerOnly"):
        raise RefusedError("It is a public client, which has no secret.")
    if not found.get("serviceAccountsEnabled"):
        raise RefusedError("It does not use the client credentials grant.")
    secret = found.get("secret") or ""
    if set(secret) == {"*"}:
        raise RefusedError("Its secret is masked; export the realm on the server.")
    granted = [*found.get("defaultClientScopes", ()), *found.get("optionalClientScopes", ())]
    return Row(
        found["clientId"],
        found.get("name") or "",
        tuple(scope for scope in granted if scope not in KEYCLOAK_SCOPES),
        found.get("enabled", True),
        secret,
    )
