"""APIs that accept our tokens, and which clients may get tokens for them (RFC 8707)."""

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import models

from api import identifiers


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
