"""The tables. `standing/` reads them for logins and token verifications."""

from api.models.clients import (
    OS_USER,
    Client,
    ClientManager,
    ClientProfile,
    Scope,
    validate_client_id,
)
from api.models.credentials import (
    ADDRESS_LENGTH,
    ISSUER_LENGTH,
    SUBJECT_LENGTH,
    ClientKey,
    RetiredSecret,
    TokenGeneration,
    TrustedIssuer,
    WorkloadIdentity,
)
from api.models.resources import Resource, ResourceGrant
from api.models.tokens import JTI_LENGTH, RevokedToken, SigningKey, UsedAssertion
from api.models.usage import OUTCOME_LENGTH, ClientUsage, UsageTotal

__all__ = [
    "ADDRESS_LENGTH",
    "ISSUER_LENGTH",
    "JTI_LENGTH",
    "OS_USER",
    "OUTCOME_LENGTH",
    "SUBJECT_LENGTH",
    "Client",
    "ClientKey",
    "ClientManager",  # for migrations
    "ClientProfile",
    "ClientUsage",
    "Resource",
    "ResourceGrant",
    "RetiredSecret",
    "RevokedToken",
    "Scope",
    "SigningKey",
    "TokenGeneration",
    "TrustedIssuer",
    "UsageTotal",
    "UsedAssertion",
    "WorkloadIdentity",
    "validate_client_id",
]
