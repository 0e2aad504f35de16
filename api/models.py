"""Clients, their retired secrets, revoked tokens and signing keys.

A client is a row of Django's user table. `standing.py` reads these tables for logins and token
verifications.
"""

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import User, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

JTI_LENGTH = 36  # characters; ours have 32


# What RFC 6749 appendix A.1 allows, and letters and digits of any script, as Django does. But no
# space and no %: Basic credentials may be form-urlencoded or not, and would name two clients.
validate_client_id = RegexValidator(
    r"^[\x21-\x24\x26-\x7e\w]{1,150}\Z",
    "A client id has at most 150 letters, digits and visible ASCII characters, no percent sign.",
)


class ClientManager(UserManager["Client"]):
    """Clients are the users who are not staff, so code that edits clients cannot edit staff."""

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

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """Keep a client id as it is: programs compare it byte for byte."""
        return username

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Check the client id by our own rule. Django's is for people, and refuses URLs."""
        excluded = set(exclude or ())
        if "username" not in excluded:
            try:
                validate_client_id(self.username)
            except ValidationError as error:
                raise ValidationError({"username": error}) from error
        super().clean_fields(exclude=excluded | {"username"})


class RetiredSecret(models.Model):
    """The secret a client had before its last rotation, good until its grace period ends.

    One row per client: at most two secrets are good at once. It is good only while the secret that
    replaced it is current, so any other change of the password ends both.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="retired")
    hash = models.CharField(max_length=128)
    replaced_by = models.CharField("hash of the secret that replaced it", max_length=128)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"the retired secret of client {self.client_id}"


class TokenGeneration(models.Model):
    """How often all tokens of a client were revoked. Tokens of an older generation are refused.

    It is a counter, not a time, so it does not depend on the clocks of several machines.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="generation")
    number = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"generation {self.number} of client {self.client_id}"


class RevokedTokenManager(models.Manager["RevokedToken"]):
    def delete_some_expired(self, then: datetime, at_most: int) -> None:
        """Delete at most `at_most` tokens that had expired by `then`."""
        expired = self.filter(expires_at__lte=then).order_by("expires_at")
        self.filter(pk__in=list(expired.values_list("pk", flat=True)[:at_most])).delete()


class RevokedToken(models.Model):
    """A token that was revoked before it expired (RFC 7009). The row is kept until it expires.

    Each revocation deletes some expired rows, so nobody has to run `clearexpired`.
    """

    jti = models.CharField(max_length=JTI_LENGTH, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = RevokedTokenManager()

    def __str__(self) -> str:
        return self.jti


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
