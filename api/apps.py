"""The app: register checks and receivers, and make a signing key after `migrate`."""

from corsheaders.signals import check_request_enabled
from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "Clients and keys"

    def ready(self) -> None:
        from api import browser, checks, keys, receivers  # noqa: F401 (importing registers them)

        check_request_enabled.connect(browser.may_be_read_by_all_sites)
        post_migrate.connect(keys.ensure_signing_key, sender=self)
