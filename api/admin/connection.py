"""The values that an API needs to accept tokens, and snippets that contain them."""

import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from api.models import Resource

# By template: the title of the snippet, and a note.
WITH_PUBLIC_KEYS = {
    "pyjwt": ("PyJWT", "For any Python program, after pip install 'pyjwt[crypto]'."),
    "drf": (
        "Django REST Framework",
        "In settings.py, after pip install 'djangorestframework-simplejwt[crypto]'.",
    ),
    "rabbitmq": (
        "RabbitMQ",
        (
            "In rabbitmq.conf, with rabbitmq_auth_backend_oauth2 enabled, over https. A scope is "
            "the audience with .configure:*/*, .write:*/* or .read:*/* behind it."
        ),
    ),
}
FOR_WEB_ADDRESSES = {"fastmcp": ("FastMCP", "For an MCP server, after pip install fastmcp.")}
WITH_INTROSPECTION = {
    "nginx": (
        "nginx",
        "In front of any program, with the module njs. It needs the secret of the API's server.",
    )
}


def instructions(resource: Resource) -> dict[str, Any]:
    """Return the context of the page that tells how to connect an API."""
    facts = _facts(resource)
    shown = WITH_INTROSPECTION
    if not settings.JWT_ALGORITHM.startswith("HS"):  # HMAC has no public keys
        is_web_address = resource.identifier.startswith(("http://", "https://"))
        shown = WITH_PUBLIC_KEYS | (FOR_WEB_ADDRESSES if is_web_address else {}) | shown
    return {
        "introspection": facts["introspection"],
        "values": [
            (title, name, facts[name])
            for title, name in (
                ("Issuer", "issuer"),
                ("Audience", "audience"),
                ("JWKS address", "jwks"),
                ("Algorithm", "algorithm"),
            )
        ],
        "snippets": [
            (title, template, note, _render(template, facts))
            for template, (title, note) in shown.items()
        ],
    }


def _render(template: str, facts: dict[str, str]) -> str:
    return render_to_string(f"admin/api/resource/snippets/{template}.txt", facts).strip()


def _facts(resource: Resource) -> dict[str, str]:
    """Return the values in the snippets. No identifier has the quote that ends a string."""
    url = urlsplit(resource.identifier)
    return {
        "issuer": settings.ISSUER,
        "audience": resource.identifier,
        "jwks": settings.ORIGIN + reverse("jwks"),
        "introspection": settings.ORIGIN + reverse("introspect"),
        "algorithm": settings.JWT_ALGORITHM,
        "origin": f"{url.scheme}://{url.netloc}",
        "name": json.dumps(resource.name or resource.identifier),
        "server": resource.server.username if resource.server else "CLIENT_ID",
    }
