"""What is kept: clients, the secrets they retired, the tokens they revoked, and the signing keys.

A client is a row of Django's own user table. Login and verification are on the path of every
request, so each asks its one question in SQL that is written out here, and builds no model.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User, UserManager
from django.db import connection, models
from django.utils import timezone

from api.hashers import GeneratedSecretHasher

LAST_USED_PRECISION = timedelta(hours=1)
JTI_LENGTH = 36  # characters; ours have 32


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of a client at one moment.

    `secrets` are the stored hashes that are good now: the current one, then the retired one while
    its grace lasts. `generation` counts how often all tokens of the client were revoked.
    """

    client_id: str
    is_active: bool
    secrets: tuple[str, ...]
    generation: int
    groups: tuple[str, ...] = ()
    recently_used: bool = False
    pk: int = 0


class ClientManager(UserManager["Client"]):
    """Clients are the users who are not staff: an operator of clients never touches a person."""

    def get_queryset(self) -> models.QuerySet["Client"]:
        return super().get_queryset().filter(is_staff=False, is_superuser=False)


class Client(User):
    """A machine client: `username` is its client id, its groups are its scopes."""

    objects = ClientManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        verbose_name = "client"
        verbose_name_plural = "clients"
        permissions = (
            ("rotate_secret", "Can rotate a client's secret"),
            ("revoke_tokens", "Can revoke a client's tokens"),
        )


class RetiredSecret(models.Model):
    """The secret a client had before its last rotation, good until its grace ends.

    One row a client, so that at most two secrets are good at once; and good only beside the one
    that replaced it, so that a password set by any other way of Django's ends both.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="retired")
    hash = models.CharField(max_length=128)
    replaced_by = models.CharField("hash of the secret that replaced it", max_length=128)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"the retired secret of client {self.client_id}"


class TokenGeneration(models.Model):
    """How often all tokens of a client have been revoked; tokens of an older generation are dead.

    A counter rather than a time: it needs no clock, so no two machines can differ about it.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="generation")
    number = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"generation {self.number} of client {self.client_id}"


class RevokedTokenManager(models.Manager["RevokedToken"]):
    def delete_some_expired(self, then: datetime, at_most: int) -> None:
        """Delete tokens that had expired at a time, up to a number of them."""
        expired = self.filter(expires_at__lte=then).order_by("expires_at")
        self.filter(pk__in=list(expired.values_list("pk", flat=True)[:at_most])).delete()


class RevokedToken(models.Model):
    """A token that was revoked before it expired (RFC 7009); kept no longer than it would live.

    Each new row takes the place of some that have expired, so nothing depends on `clearexpired`.
    """

    jti = models.CharField(max_length=JTI_LENGTH, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = RevokedTokenManager()

    def __str__(self) -> str:
        return self.jti


class SigningKey(models.Model):
    """A key that signs from `signs_from` on, and verifies until `verifies_until`.

    `private_jwk` is encrypted (see `keys.py`). `public_jwk` is empty for HMAC, whose one key is
    secret.
    """

    kid = models.CharField("key id", max_length=43, primary_key=True)
    algorithm = models.CharField(max_length=32)
    private_jwk = models.TextField(editable=False)
    public_jwk = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    signs_from = models.DateTimeField()
    verifies_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-signs_from", "-created_at")
        permissions = (("rotate_keys", "Can rotate the signing keys"),)

    def __str__(self) -> str:
        return self.kid


class Statement(str):
    """SQL that is always the same, with only text for parameters: worth preparing.

    A database backend that does so itself goes by the attribute (see `authdemo/postgresql`).
    """

    __slots__ = ()
    prepare = True


_JOINS = """
    LEFT JOIN api_retiredsecret r ON r.client_id = u.id AND r.replaced_by = u.password
    LEFT JOIN api_tokengeneration g ON g.client_id = u.id
"""
_LOGIN = Statement(f"""
    SELECT u.is_active, u.password, g.number, r.hash, r.expires_at, u.id, u.last_login, s.name
    FROM auth_user u {_JOINS}
    LEFT JOIN auth_user_groups m ON m.user_id = u.id LEFT JOIN auth_group s ON s.id = m.group_id
    WHERE u.username = %s
""")  # noqa: S608 (made of constants)
_VERIFICATION = Statement(f"""
    SELECT u.is_active, u.password, g.number, r.hash, r.expires_at,
           EXISTS (SELECT 1 FROM api_revokedtoken t WHERE t.jti = %s)
    FROM auth_user u {_JOINS}
    WHERE u.username = %s
""")  # noqa: S608 (made of constants)


# What stands in for the row of a client that there is not: an answer for it takes the same time.
_NOBODY = (
    False,
    f"{GeneratedSecretHasher.algorithm}${64 * '-'}",
    None,
    None,
    None,
    0,
    datetime(2000, 1, 1),  # noqa: DTZ001 (as SQLite gives it)
    None,
)


def standing_for_login(client_id: str) -> Standing:
    """Return what a login needs to know of a client, its groups included.

    Where there is no such client, it is a standing like any other whose `pk` is 0.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOGIN, [client_id])
        rows = cursor.fetchall() or [_NOBODY]
    *standing, pk, last_login, _ = rows[0]
    return Standing(
        client_id,
        *_standing(*standing),
        groups=tuple(sorted(row[-1] for row in rows if row[-1])),
        recently_used=_is_after(last_login, timezone.now() - LAST_USED_PRECISION),
        pk=pk,
    )


def standing_for_token(client_id: str, jti: str) -> Standing | None:
    """Return what verifying a token needs to know of its client.

    `None` if the client is unknown, or if the token itself has been revoked.
    """
    with connection.cursor() as cursor:
        cursor.execute(_VERIFICATION, [jti, client_id])
        rows = cursor.fetchall()
    if not rows or rows[0][-1]:
        return None
    return Standing(client_id, *_standing(*rows[0][:-1]))


def _standing(
    is_active: bool,
    current: str,
    generation: int | None,
    retired: str | None,
    expires_at: datetime | None,
) -> tuple[bool, tuple[str, ...], int]:
    secrets: tuple[str, ...] = (current,)
    if retired and _is_after(expires_at, timezone.now()):
        secrets = (current, retired)
    return bool(is_active), secrets, generation or 0


def _is_after(moment: datetime | None, other: datetime) -> bool:
    """Compare a time of the database, which SQLite gives without its zone, UTC."""
    if moment is None:
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) > other
