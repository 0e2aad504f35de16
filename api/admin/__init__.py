"""The admin site: clients and signing keys for people."""

from api.admin.clients import ClientAdmin
from api.admin.keys import SigningKeyAdmin

__all__ = ["ClientAdmin", "SigningKeyAdmin"]
