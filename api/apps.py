"""The app: register checks and receivers, and make a signing key after `migrate`."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "Clients and keys"

    def ready(self) -> None:
        from api import checks, keys, receivers  # noqa: F401 (importing registers them)

        post_migrate.connect(keys.ensure_signing_key, sender=self)
