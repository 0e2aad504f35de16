"""The query of a token verification."""

from django.utils import timezone

from api.standing.rows import COLUMNS, TABLES, fetch, state, timestamp
from api.standing.states import ClientState

_CREDENTIALS = {
    "": "",  # a secret, which is compared by its hash
    "key": """ AND EXISTS (
        SELECT 1 FROM api_clientkey AS held
        WHERE held.client_id = client.id AND CAST(held.id AS text) = %(credential_pk)s
            AND (held.expires_at IS NULL OR held.expires_at > %(now)s)
    )""",
    "identity": """ AND EXISTS (
        SELECT 1 FROM api_workloadidentity AS held
        WHERE held.client_id = client.id AND CAST(held.id AS text) = %(credential_pk)s
    )""",
}
_RESOURCE_COLUMNS = ", granted.id AS grant_id, server.username AS resource_server"
_RESOURCE_TABLES = """
    JOIN api_resource AS resource ON resource.identifier = %(resource)s
    JOIN api_resourcegrant AS granted ON granted.resource_id = resource.id
        AND granted.client_id = client.id
    LEFT JOIN auth_user AS server ON server.id = resource.server_id
"""
# By the kind of credential that a token was obtained with, and whether it is for a resource.
_VERIFICATIONS = {
    (kind, for_resource): f"""
    SELECT {COLUMNS}, EXISTS (SELECT 1 FROM api_revokedtoken WHERE jti = %(jti)s) AS is_revoked
        {_RESOURCE_COLUMNS if for_resource else ""}
    FROM {TABLES} {_RESOURCE_TABLES if for_resource else ""}
    WHERE client.username = %(client_id)s AND NOT client.is_staff AND NOT client.is_superuser
        {is_held}
"""  # noqa: S608 (made of constants)
    for kind, is_held in _CREDENTIALS.items()
    for for_resource in (False, True)
}


def look_up_for_token(
    client_id: str, *, jti: str, credential: str = "", resource: str | None = None
) -> ClientState | None:
    """Return the state of a token's client, or `None` if there is none or the token has ended.

    `credential` names the key or the identity that the token was obtained with, such as `key:17`;
    it is empty for a secret. For a token for a `resource`, also return `None` if the client is not
    granted it.
    """
    kind, _, credential_pk = credential.partition(":")
    sql = _VERIFICATIONS.get((kind, resource is not None))
    if sql is None:
        return None
    params = {"client_id": client_id, "jti": jti, "now": timestamp(timezone.now())}
    if kind:
        params["credential_pk"] = credential_pk
    if resource is not None:
        params["resource"] = resource
    rows = fetch(sql, params)
    if not rows or rows[0]["is_revoked"]:
        return None
    of_resource = ("grant_id", "resource_server") if resource else ()
    return state(client_id, rows[0], **{name: rows[0][name] for name in of_resource})
