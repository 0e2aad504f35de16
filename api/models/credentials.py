"""What a client proves its identity with, and what ends its tokens."""

from django.contrib.auth.models import User
from django.db import models

ISSUER_LENGTH = 255  # characters
SUBJECT_LENGTH = 512
ADDRESS_LENGTH = 45  # an IPv6 address that ends like one of IPv4


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


class TokenGeneration(models.Model):
    """How often all tokens of a client were revoked. Tokens of an older generation are refused.

    It is a counter, not a time, so it does not depend on the clocks of several machines.
    """

    client = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="generation")
    number = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"generation {self.number} of client {self.client_id}"
