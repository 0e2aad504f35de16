"""The admin site: clients, APIs, signing keys and trusted issuers for people."""

from api.admin.clients import ClientAdmin
from api.admin.issuers import TrustedIssuerAdmin
from api.admin.keys import SigningKeyAdmin
from api.admin.people import AuditedGroupAdmin, StaffAdmin
from api.admin.resources import ResourceAdmin
from api.admin.scopes import ScopeAdmin

__all__ = [
    "AuditedGroupAdmin",
    "ClientAdmin",
    "ResourceAdmin",
    "ScopeAdmin",
    "SigningKeyAdmin",
    "StaffAdmin",
    "TrustedIssuerAdmin",
]
