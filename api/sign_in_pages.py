"""Pages on which a browser signs in, sees its token explained, and signs out."""

import shlex
import time
from datetime import UTC, datetime
from typing import Any

import jwt
from django.conf import settings

from api import claims, tokens
from api.renderers import Page

KEEPS_CLIENT_ID = {"invalid_client", "invalid_scope", "invalid_target", "slow_down"}
HEADER_MEANINGS = {
    "alg": "Algorithm of the signature: that of the key in kid.",
    "kid": "Key id: which key of the JWKS signed it.",
    "typ": "Type: an access token as RFC 9068 defines it.",
}


class SignInPage(Page):
    """Shows the sign-in form, then the token with explanations."""

    template = "api/sign_in.html"
    success_template = "api/token.html"

    def template_context(self, data: Any) -> dict[str, Any]:
        context = super().template_context(data)
        if context["error"].get("error") in KEEPS_CLIENT_ID:
            context["client_id"] = self.request.data.get("client_id")  # never the secret
        if token := self.token(data):
            context |= {
                "token": token,
                "token_seconds_left": token["exp"] - time.time(),
                "audience": shlex.quote(token["aud"]),
                "is_kept": self.is_kept(),
                "parts": _explain(str(token.token)),
            }
        return context

    def token(self, data: Any) -> tokens.AccessToken | None:
        """Return the token that the page shows."""
        text = data.get("access_token") if isinstance(data, dict) else None
        return tokens.read(text) if text else None

    def is_kept(self) -> bool:
        cookie = self.response.cookies.get(settings.ACCESS_TOKEN_COOKIE)
        return bool(cookie and cookie.value)

    def session(self, data: Any) -> tokens.AccessToken | None:
        """Return the new token if it is for this service: only then the browser keeps it."""
        token = self.token(data)
        return token if token and token.is_for_this_service else super().session(data)


class TokenPage(SignInPage):
    """Shows the browser its token again."""

    template = "api/no_token.html"
    success_method = "GET"

    def token(self, data: Any) -> tokens.AccessToken | None:
        """Return the token that was verified. Since then, it may have expired."""
        return self.request.auth if "access_token" in data else None  # type: ignore[return-value]

    def is_kept(self) -> bool:
        return True


class SignOutPage(Page):
    """Asks before it signs the browser out."""

    template = "api/sign_out.html"


def _explain(token: str) -> list[dict[str, Any]]:
    """Return the header and the claims of a token, each name with its value and meaning."""
    decoded = jwt.decode_complete(token, options={"verify_signature": False})
    meanings = HEADER_MEANINGS | {name: claim.meaning for name, claim in claims.CLAIMS.items()}
    order = list(meanings)
    parts = []
    for title, part in (("Header", decoded["header"]), ("Claims", decoded["payload"])):
        names = sorted(part, key=lambda name: order.index(name) if name in order else len(order))
        rows = [_row(name, part[name], meanings.get(name, "")) for name in names]
        parts.append({"title": title, "rows": rows})
    return parts


def _row(name: str, value: Any, meaning: str) -> dict[str, Any]:
    moment = datetime.fromtimestamp(value, UTC) if name in claims.REQUIRED_TIMES else None
    return {"name": name, "value": value, "time": moment, "meaning": meaning}
