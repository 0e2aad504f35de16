"""What the OpenAPI document says once: the schema of each body, and the ways to authenticate."""

from copy import deepcopy
from typing import Any

from django.urls import reverse

from api import claims
from api.client_authentication import METHODS
from api.client_authentication.assertion import ASSERTION_TYPE, SPIFFE_TYPE
from api.openapi.examples import examples
from api.parameters import (
    GRANT_TYPE,
    RESOURCE,
    SCOPE,
    TOKEN,
    TOKEN_TYPE_HINT,
    Parameter,
)
from api.parsers import FormParser

REFERENCE = "#/components/schemas/"
TEXT = {"type": "string"}
URL = {"type": "string", "format": "uri"}
STRICT = {"NewClient", "PatchedClientChanges", "Rotation", "Nothing"}  # refuse unknown members
PERHAPS_TIME = {"type": ["string", "null"], "format": "date-time"}
# What an example does not tell of a member, wherever it is found.
MEMBERS: dict[str, dict[str, Any]] = {
    "client_id_issued_at": {"description": "Seconds since 1970."},
    "client_secret": {"description": "Shown this once."},
    "client_secret_expires_at": {"description": "Seconds since 1970; 0 is never."},
    "created_at": PERHAPS_TIME,
    "default_resource": {
        "type": ["string", "null"],
        "description": "The API that tokens are for if the client names none; else this service.",
    },
    "expires_at": PERHAPS_TIME | {"description": "null is never."},
    "hour": {"description": "When the hour begins.", "format": "date-time"},
    "id": {"description": "secret, previous_secret, or the likes of key:17 and identity:3."},
    "last_used_at": PERHAPS_TIME | {"description": "To the minute; null is never."},
    "last_used_from": {
        "type": ["string", "null"],
        "description": "The address; of a previous secret only.",
    },
    "outcomes": {
        "properties": {},
        "required": [],
        "additionalProperties": {"type": "integer"},
        "description": "success, throttled, or the reason of a failure; and how often.",
    },
    "signs_from": {"format": "date-time"},
    "error": {"description": "What is wrong, for programs."},
    "error_description": {"description": "What is wrong, for people."},
    "expires_in": {"description": "Seconds."},
    "scope": {"description": "What the client may do, separated by spaces."},
    "token_type": {"const": "Bearer"},
}
SECURITY_SCHEMES: dict[str, Any] = {
    "oauth2": {  # first, because Swagger UI offers it first
        "type": "oauth2",
        "description": "Gets an access token from /login, and sends it.",
        "flows": {"clientCredentials": {"scopes": {}}},
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Sends an access token that you have.",
    },
    "client_secret_basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The client's id and secret; or send both in the body.",
    },
}
ASSERTION = {"description": f"With a client_assertion, `{ASSERTION_TYPE}` or `{SPIFFE_TYPE}`."}
# Which response gives another request its parameters, by operation.
OWN_TOKEN = {
    "token": "$response.body#/access_token",
    "client_id": "$request.body#/client_id",
    "client_secret": "$request.body#/client_secret",
}
LINKS = {
    "register": {
        "login": {
            "client_id": "$response.body#/client_id",
            "client_secret": "$response.body#/client_secret",
        }
    },
    "login": {"introspect": OWN_TOKEN, "revoke": OWN_TOKEN},
    "revoke": {"introspect": {name: f"$request.body#/{name}" for name in OWN_TOKEN}},
}


def reference(component: str) -> dict[str, str]:
    return {"$ref": f"{REFERENCE}{component}"}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each body, by component."""
    shown = examples()
    of_client = {each.name: each for method in METHODS.values() for each in method.reads}.values()
    jwk = like(dict.fromkeys(("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"), ""))
    jwk["required"] = ["kty", "kid", "use", "alg"]
    client = managed_client(shown["Client"])
    created = managed_client(shown["CreatedClient"])
    created["required"].remove("client_secret")  # of a client with keys
    return {name: like(example) for name, example in shown.items()} | {
        "Client": client,
        "CreatedClient": created,
        "Login": parameters(
            *of_client,
            GRANT_TYPE,
            SCOPE,
            RESOURCE,
            client_assertion_type=ASSERTION,
            grant_type={
                "enum": ["client_credentials", "", None],
                "description": "May be left out of JSON only.",
            },
            resource={
                "type": ["string", "array", "null"],
                "items": TEXT,
                "description": "The API that the token is for; only one.",
            },
        ),
        "OwnToken": parameters(
            *of_client,
            TOKEN,
            TOKEN_TYPE_HINT,
            required=(TOKEN,),
            client_assertion_type=ASSERTION,
        ),
        "RegisteredClient": registered_client(shown["RegisteredClient"], jwk),
        "Error": like({"error": "", "error_description": ""}),
        "Root": {"type": "object", "additionalProperties": URL},
        "Private": with_claims(shown["Private"]),
        "Introspection": {"oneOf": [with_claims(shown["Introspection"]), like({"active": False})]},
        "JWKSet": like({"keys": []}) | {"properties": {"keys": {"type": "array", "items": jwk}}},
        "Document": {"type": "object"},
        "Metrics": TEXT,
    }


def registered_client(example: dict[str, Any], jwk: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a new client: with a secret, with keys, or both."""
    schema = like(example)
    keys = {"type": "array", "items": jwk | {"required": ["kty"]}}
    schema["properties"]["jwks"] = like({"keys": []}) | {"properties": {"keys": keys}}
    for name in ("client_secret", "client_secret_expires_at"):
        schema["required"].remove(name)
    return schema


def managed_client(example: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a client as its managers see it."""
    schema = like(example)
    schema["properties"] |= {
        "active": {"type": "boolean", "description": "Whether it may log in."},
        "client_secret_expires_at": {
            "type": ["integer", "null"],
            "description": "Seconds since 1970; 0 is never, and null is without a secret.",
        },
        "token_endpoint_auth_method": {
            "type": "string",
            "description": "The only method it may use, or empty for any.",
        },
    }
    return schema


def like(example: Any) -> dict[str, Any]:
    """Return the schema of values such as this one; an object has its members and no others."""
    match example:
        case None:
            return {}  # see `MEMBERS`
        case bool():
            return {"const": example}
        case int():
            return {"type": "integer"}
        case str():
            return URL if example.startswith("http") else TEXT
        case list():
            return {"type": "array", "items": like(example[0]) if example else TEXT}
    return {
        "type": "object",
        "properties": {
            name: like(value) | MEMBERS.get(name, {}) for name, value in example.items()
        },
        "required": list(example),
        "additionalProperties": False,
    }


def with_claims(example: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with claims: what they mean, and which a token may lack."""
    schema = like(example)
    for name in schema["properties"].keys() & claims.CLAIMS.keys():
        unit = " In seconds since 1970." if name in claims.REQUIRED_TIMES else ""
        schema["properties"][name] |= {"description": f"{claims.CLAIMS[name].meaning}{unit}"}
        if name not in claims.REQUIRED:
            schema["required"].remove(name)
    return schema


def parameters(
    *read: Parameter, required: tuple[Parameter, ...] = (), **more: dict[str, Any]
) -> dict[str, Any]:
    """Return the schema of a body with these parameters; the others are optional."""
    properties = {}
    for parameter in read:
        types = "string" if parameter in required else ["string", "null"]
        limits = {"maxLength": parameter.max_length, "pattern": "^[^\\x00]*$"}
        properties[parameter.name] = {"type": types, **limits} | more.get(parameter.name, {})
    return {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in required],
    }


def complete(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add the above to a generated document (one of drf-spectacular's postprocessing hooks)."""
    components, shown = result["components"], examples()
    for name, schema in components["schemas"].items():
        _allow_blank(schema.get("properties", {}))
        if name in STRICT:
            schema["additionalProperties"] = False
    components["schemas"] = dict(sorted((schemas() | components["schemas"]).items()))
    components["securitySchemes"] = deepcopy(SECURITY_SCHEMES)
    flow = components["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    flow["tokenUrl"], scopes = reverse("login"), flow["scopes"]
    for operation in (each for methods in result["paths"].values() for each in methods.values()):
        name, responses = operation["operationId"], operation["responses"]
        requested = operation.get("requestBody", {"content": {}})
        for body in (requested, *responses.values()):
            _show(body.get("content", {}), shown)
        _restrict_form(requested["content"])
        for target, values in LINKS.get(name, {}).items():
            link = {"operationId": target, "requestBody": values}
            next(iter(responses.values())).setdefault("links", {})[target] = link
        for required in (each.get("oauth2", []) for each in operation["security"]):
            for scope in required:
                scopes[scope] = f"{scopes.get(scope, '')} {operation['summary']}.".lstrip()
    return result


def _allow_blank(properties: dict[str, Any]) -> None:
    """Correct drf-spectacular: of the two schemas of a text that may be blank, blank meets both."""
    for schema in properties.values():
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")


def _show(content: dict[str, Any], examples: dict[str, Any]) -> None:
    """Add the example of a body's component; a form holds text only."""
    for media_type, described in content.items():
        component = described["schema"].get("$ref", "").removeprefix(REFERENCE)
        shown = examples.get(component)
        is_text = shown is not None and all(isinstance(value, str) for value in shown.values())
        if shown is not None and (is_text or media_type != FormParser.media_type):
            described["examples"] = {"Example": {"value": shown}}


def _restrict_form(content: dict[str, Any]) -> None:
    """Say that a form holds text only, and each parameter once."""
    if form := content.get(FormParser.media_type):
        form["schema"] = {"allOf": [form["schema"], {"additionalProperties": TEXT}]}
