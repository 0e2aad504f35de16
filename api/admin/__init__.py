"""The admin site: clients and signing keys for people."""

from api.admin.clients import ClientAdmin
from api.admin.keys import SigningKeyAdmin
from api.admin.people import AuditedGroupAdmin, StaffAdmin

__all__ = ["AuditedGroupAdmin", "ClientAdmin", "SigningKeyAdmin", "StaffAdmin"]
