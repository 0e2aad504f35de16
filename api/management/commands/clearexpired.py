"""Delete expired rows. This is optional, because expired rows already have no effect."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.admin.utils import model_ngettext
from django.core.management.base import BaseCommand
from django.utils import timezone

from api.keys import LEEWAY
from api.models import (
    ClientUsage,
    RetiredSecret,
    RevokedToken,
    SigningKey,
    UsageTotal,
    UsedAssertion,
)


class Command(BaseCommand):
    help = (
        "Deletes expired retired secrets, revoked tokens, used assertions and signing keys, and "
        "usage that is older than USAGE_KEPT."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="only count what would be deleted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        then = timezone.now() - LEEWAY  # by then expired on machines with a slow clock too
        kept_from = timezone.now() - settings.USAGE_KEPT
        for expired in (
            RetiredSecret.objects.filter(expires_at__lte=then),
            RevokedToken.objects.filter(expires_at__lte=then),
            UsedAssertion.objects.filter(expires_at__lte=then),
            SigningKey.objects.filter(verifies_until__lte=then),
            ClientUsage.objects.filter(hour__lt=kept_from),
            UsageTotal.objects.filter(hour__lt=kept_from),
        ):
            count = expired.count() if options["dry_run"] else expired.delete()[0]
            name = model_ngettext(expired.model._meta, count)
            verb = "would be deleted" if options["dry_run"] else "deleted"
            self.stdout.write(f"{count} expired {name} {verb}")
