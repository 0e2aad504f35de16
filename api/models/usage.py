"""How often clients did what, by the hour."""

from django.contrib.auth.models import User
from django.db import models

OUTCOME_LENGTH = 64


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
