"""How APIs are named: by absolute URIs, compared exactly (RFC 8707 §2, RFC 3986 §4.3)."""

import re
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

MAX_LENGTH = 255
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_BARE_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?]+/?")


def is_absolute(text: object) -> bool:
    """Tell whether a value is an absolute URI without a fragment."""
    return isinstance(text, str) and len(text) <= MAX_LENGTH and bool(_ABSOLUTE.fullmatch(text))


def validate(identifier: str) -> None:
    """Refuse what cannot name an API, and what names this service. Raises `ValidationError`."""
    if not is_absolute(identifier):
        raise ValidationError(
            "Enter an absolute URI without a fragment, such as https://api.example.com/orders."
        )
    try:
        url = urlsplit(identifier)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise ValidationError("The URI has no valid host and port.") from None
    if "@" in url.netloc:
        raise ValidationError("Leave out the user name: every token would show it.")
    if url.scheme in {"http", "https"} and not host:
        raise ValidationError("The URI has no host.")
    if url.netloc != url.netloc.lower():
        raise ValidationError("Write the host in lower case, because URIs are compared exactly.")
    if is_this_service(identifier):
        raise ValidationError("This is the identifier of this service itself.")


def spellings(identifier: str) -> tuple[str, str]:
    """Return an identifier without and with a trailing slash, if it is a bare origin.

    Libraries that parse URLs add that slash. Any other identifier has one spelling.
    """
    if not _BARE_ORIGIN.fullmatch(identifier):
        return identifier, identifier
    origin = identifier.removesuffix("/")
    return origin, f"{origin}/"


def is_this_service(identifier: object) -> bool:
    """Tell whether this service is meant: by its audience, or by its address (RFC 9728 §3.3)."""
    ours = (*spellings(settings.JWT_AUDIENCE), *spellings(settings.PUBLIC_URL))
    return identifier in ours
