"""Clients, which are rows of Django's user table, and their scopes, which are groups."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.contrib.auth.models import Group, User, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from api.scopes import NOT_A_SCOPE, SCOPE, is_scope

# What RFC 6749 appendix A.1 allows, and letters and digits of any script, as Django does. But no
# space and no %: Basic credentials may be form-urlencoded or not, and would name two clients. In
# audit lines, `by="os:alice"` is a person at a command line.
OS_USER = "os:"
validate_client_id = RegexValidator(
    rf"^(?!{OS_USER})[\x21-\x24\x26-\x7e\w]{{1,150}}\Z",
    "A client id has at most 150 letters, digits and visible ASCII characters, but no percent "
    f"sign, nor `{OS_USER}` at its beginning.",
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


class ScopeManager(models.Manager["Scope"]):
    def get_queryset(self) -> models.QuerySet["Scope"]:
        return super().get_queryset().filter(name__regex=rf"^{SCOPE.pattern}\Z")


class Scope(Group):
    """A group whose name can be a scope. Staff may have the permissions of groups, too."""

    objects: ClassVar[Any] = ScopeManager()

    class Meta:
        proxy = True
        ordering = ("name",)

    def clean(self) -> None:
        if not is_scope(self.name):
            raise ValidationError({"name": NOT_A_SCOPE})


class ClientProfile(models.Model):
    """What Django's user table has no column for. A client without a row has the defaults.

    `auth_method` is the only method the client may use; if it is empty, it may use all. The rest is
    about the current secret, whatever its hash.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="profile")
    auth_method = models.CharField(max_length=32, blank=True, default="")
    secret_made_at = models.DateTimeField(null=True)
    secret_used_at = models.DateTimeField(null=True)
    secret_expires_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return f"the profile of client {self.client_id}"
