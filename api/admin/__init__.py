"""The admin site: clients, signing keys and trusted issuers for people."""

from api.admin.clients import ClientAdmin
from api.admin.issuers import TrustedIssuerAdmin
from api.admin.keys import SigningKeyAdmin
from api.admin.people import AuditedGroupAdmin, StaffAdmin

__all__ = [
    "AuditedGroupAdmin",
    "ClientAdmin",
    "SigningKeyAdmin",
    "StaffAdmin",
    "TrustedIssuerAdmin",
]
