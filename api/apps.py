"""The application: clients, their secrets, the keys and the tokens."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "Clients and keys"

    def ready(self) -> None:
        from api import checks, keys, receivers  # noqa: F401 (these register themselves)

        post_migrate.connect(keys.ensure_signing_key, sender=self)
