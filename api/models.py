"""Clients, their credentials and APIs, revoked tokens, used assertions, issuers and signing keys.

A client is a row of Django's user table. `standing/` reads these tables for logins and token
verifications.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import Group, User, UserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import connection, models

from api import identifiers
from api.scopes import NOT_A_SCOPE, SCOPE, is_scope

ISSUER_LENGTH = 255  # characters
SUBJECT_LENGTH = 512
JTI_LENGTH = 36  # characters; ours have 32
ADDRESS_LENGTH = 45  # an IPv6 address that ends like one of IPv4
OUTCOME_LENGTH = 64


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


class ClientKey(models.Model):
    """A public key of a client, which signs its assertions. It never changes.

    `kid` is its thumbprint (RFC 7638), `jwk_kid` the name that its JWK came with.
    """

    client = models.ForeignKey(User, models.CASCADE, related_name="client_keys")
    kid = models.CharField("key id", max_length=43)
    jwk_kid = models.CharField(max_length=255, blank=True)
    jwk = models.JSONField()
    name = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField("created", auto_now_add=True)
    expires_at = models.DateTimeField("expires", null=True, blank=True)
    last_used_at = models.DateTimeField("last used", null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("client", "kid"), name="api_clientkey_once_per_client"),
        )
        indexes = (models.Index(fields=("expires_at",), name="api_clientkey_expires"),)

    def __str__(self) -> str:
        return self.name or self.kid


class RetiredSecret(models.Model):
    """The secret a client had before its last rotation, good until its grace period ends.

    One row per client: at most two secrets are good at once. It is good only while the secret that
    replaced it is current, so any other change of the password ends both.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="retired")
    hash = models.CharField(max_length=128)
    replaced_by = models.CharField("hash of the secret that replaced it", max_length=128)
    expires_at = models.DateTimeField(db_index=True)
    last_used_at = models.DateTimeField("last used", null=True)
    last_used_from = models.CharField(max_length=ADDRESS_LENGTH, blank=True, db_default="")

    def __str__(self) -> str:
        return f"the retired secret of client {self.client_id}"


class ClientUsage(models.Model):
    """How often something happened to a client in the hour that begins at `hour`.

    `outcome` is `success`, `throttled`, or the reason why a login failed.
    """

    SUCCESS, THROTTLED = "success", "throttled"

    client = models.ForeignKey(User, models.CASCADE, related_name="usage", db_index=False)
    hour = models.DateTimeField(db_index=True)
    outcome = models.CharField(max_length=OUTCOME_LENGTH)
    count = models.PositiveBigIntegerField()

    class Meta:
        verbose_name, verbose_name_plural = "hour of usage", "hours of usage"
        constraints = (
            models.UniqueConstraint(fields=("client", "hour", "outcome"), name="api_usage_once"),
        )
        indexes = (
            models.Index(
                fields=("hour",), condition=~models.Q(outcome="success"), name="api_usage_failures"
            ),
        )

    def __str__(self) -> str:
        return f"{self.count} times {self.outcome} of client {self.client_id} at {self.hour}"


class UsageTotal(models.Model):
    """How often something happened in an hour to all clients, unknown and deleted ones included."""

    hour = models.DateTimeField()
    outcome = models.CharField(max_length=OUTCOME_LENGTH)
    count = models.PositiveBigIntegerField()

    class Meta:
        verbose_name, verbose_name_plural = "hour of all usage", "hours of all usage"
        constraints = (
            models.UniqueConstraint(fields=("hour", "outcome"), name="api_usage_total_once"),
        )

    def __str__(self) -> str:
        return f"{self.count} times {self.outcome} at {self.hour}"


class TokenGeneration(models.Model):
    """How often all tokens of a client were revoked. Tokens of an older generation are refused.

    It is a counter, not a time, so it does not depend on the clocks of several machines.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="generation")
    number = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"generation {self.number} of client {self.client_id}"


class Resource(models.Model):
    """An API that accepts our tokens. People read "API"; RFC 8707 and RFC 9728 say resource."""

    identifier = models.CharField(
        max_length=identifiers.MAX_LENGTH, unique=True, validators=[identifiers.validate]
    )
    name = models.CharField(max_length=150, blank=True)
    scopes = models.ManyToManyField(Group, blank=True, related_name="resources")
    server = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, related_name="served_resources"
    )
    clients: "models.ManyToManyField[User, ResourceGrant]" = models.ManyToManyField(
        User, through="ResourceGrant", related_name="resources"
    )

    class Meta:
        verbose_name = "API"
        ordering = ("identifier",)

    def __str__(self) -> str:
        return self.identifier

    def clean(self) -> None:
        """Refuse the other spelling of another resource's identifier."""
        if not identifiers.is_absolute(self.identifier):
            return  # the field's validator says so; PostgreSQL cannot be asked for every text
        same = Resource.objects.filter(identifier__in=identifiers.spellings(self.identifier))
        if same.exclude(pk=self.pk).exists():
            raise ValidationError({"identifier": "There is an API with this identifier."})


class ResourceGrant(models.Model):
    """A client may get tokens for a resource, and gets them for its default one if it names none.

    Tokens depend on the row: after it is deleted, another row for the same pair revives none.
    """

    client = models.ForeignKey(User, models.CASCADE, related_name="resource_grants")
    resource = models.ForeignKey(Resource, models.CASCADE, related_name="grants", db_index=False)
    is_default = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("resource", "client"), name="api_one_grant"),
            models.UniqueConstraint(
                fields=("client",), condition=models.Q(is_default=True), name="api_one_default"
            ),
        )

    def __str__(self) -> str:
        return f"client {self.client_id} may call resource {self.resource_id}"


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


class TrustedIssuer(models.Model):
    """Another token issuer, whose tokens prove the identity of workloads (RFC 7523 §3).

    Its keys are those that staff gave, or else those last fetched by discovery. They are in the
    database, so all processes use the same ones, and a restart does not need the issuer.
    """

    url = models.CharField("issuer", max_length=ISSUER_LENGTH, unique=True)
    name = models.CharField(max_length=150, blank=True)
    audience = models.CharField(max_length=ISSUER_LENGTH, blank=True)
    is_internal = models.BooleanField("internal", default=False)
    given_jwks = models.TextField("keys", blank=True)
    fetched_jwks = models.TextField(blank=True, editable=False)
    fetched_at = models.DateTimeField("keys fetched", null=True, editable=False)
    tried_at = models.DateTimeField("fetch last tried", null=True, editable=False)

    class Meta:
        ordering = ("url",)

    def __str__(self) -> str:
        return self.name or self.url


class WorkloadIdentity(models.Model):
    """The subject of a trusted issuer that is a client.

    `claims` are further claims that the issuer's token must have, as text.
    """

    client = models.ForeignKey(User, models.CASCADE, related_name="identities")
    issuer = models.ForeignKey(TrustedIssuer, models.CASCADE, related_name="identities")
    subject = models.CharField(max_length=SUBJECT_LENGTH)
    claims = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField("created", auto_now_add=True)
    last_used_at = models.DateTimeField("last used", null=True, editable=False)

    class Meta:
        verbose_name_plural = "workload identities"
        constraints = (
            models.UniqueConstraint(
                fields=("issuer", "subject"),
                name="api_workloadidentity_one_client",
                violation_error_message="This subject of the issuer already belongs to a client.",
            ),
        )

    def __str__(self) -> str:
        return self.subject
