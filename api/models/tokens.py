"""Keys that sign tokens, revoked tokens, and assertions that have been used."""

from datetime import datetime
from typing import Any

from django.db import connection, models

JTI_LENGTH = 36  # characters; ours have 32


class SigningKey(models.Model):
    """A key that signs from `signs_from` on, and verifies until `verifies_until`.

    `private_jwk` is encrypted (see `keys.py`). `public_jwk` is empty for HMAC, which has no public
    key.
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


class ExpiringManager(models.Manager[Any]):
    def delete_some_expired(self, then: datetime, at_most: int) -> None:
        """Delete at most `at_most` rows that had expired by `then`."""
        expired = self.filter(expires_at__lte=then).order_by("expires_at")
        self.filter(pk__in=list(expired.values_list("pk", flat=True)[:at_most])).delete()


class RevokedToken(models.Model):
    """A token that was revoked before it expired (RFC 7009). The row is kept until it expires.

    Each revocation deletes some expired rows, so nobody has to run `clearexpired`.
    """

    jti = models.CharField(max_length=JTI_LENGTH, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = ExpiringManager()

    def __str__(self) -> str:
        return self.jti


class UsedAssertionManager(ExpiringManager):
    def add_once(self, digest: str, expires_at: datetime) -> bool:
        """Record an assertion, and tell whether it is new.

        It is one statement and no transaction: over several, Python's threads and processes would
        hold SQLite's lock so long that some logins wait in vain.
        """
        table = UsedAssertion._meta.db_table
        sql = f"INSERT INTO {table} (digest, expires_at) VALUES (%s, %s) ON CONFLICT DO NOTHING"  # noqa: S608
        with connection.cursor() as cursor:
            moment = connection.ops.adapt_datetimefield_value(expires_at)
            cursor.execute(sql, [digest, moment])
            return bool(cursor.rowcount)


class UsedAssertion(models.Model):
    """An assertion that a client has used. The row is kept until nobody could use it again.

    `digest` is of the client and the assertion's `jti`.
    """

    digest = models.CharField(max_length=43, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = UsedAssertionManager()

    def __str__(self) -> str:
        return self.digest
