"""Render responses as pages for browsers.

This is DRF's browsable API with our own templates. DRF's templates declare no language, do not fit
phones, need jQuery, and use inline styles, which our Content-Security-Policy forbids.
"""

import shlex
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.template import loader
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from api import browser, claims, keys, tokens
from api.endpoints import endpoints, handler, split_docstring
from api.scopes import REGISTER
from api.translation import UNAVAILABLE

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports this module, through the settings

SIGN_IN_AGAIN = {"missing_token", "invalid_token"}
NO_FORM = SIGN_IN_AGAIN | {"insufficient_scope"}


class Page(BrowsableAPIRenderer):
    """Shows the request, the response, and a form for the next request."""

    template = "api/resource.html"
    success_template = ""  # for the successful response to `success_method`
    success_method = "POST"
    needs_navigation = False  # whether programs get JSON even if they accept pages
    form_template = ""
    raw_example = ""
    request: Request
    response: Response
    view: "APIView"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        self.accepted_media_type = accepted_media_type or ""
        self.renderer_context = dict(renderer_context or {})
        self.request = self.renderer_context["request"]
        self.response = self.renderer_context["response"]
        self.view = self.renderer_context["view"]
        is_success = self.response.status_code < 400
        succeeded = is_success and self.request.method == self.success_method
        template = self.success_template if succeeded else self.template
        page = loader.render_to_string(
            template or self.template, self.template_context(data), self.request._request
        )
        self.response["Cache-Control"] = "no-store"  # a page shows who is signed in
        if self.response.status_code == HTTPStatus.NO_CONTENT:
            self.response.status_code = HTTPStatus.OK  # the page is content, and says 204
        return page

    def template_context(self, data: Any) -> dict[str, Any]:
        """Return the context of the template. It must not raise, whatever the request was."""
        error = data if isinstance(data, dict) and "error" in data else {}
        has_form = "POST" in self.view.allowed_methods and error.get("error") not in NO_FORM
        session = self.session(data)
        origin = self.origin()
        return {
            "name": self.get_name(self.view),
            "description": self._description(),
            "origin": origin,
            "address": shlex.quote(origin + self.request.get_full_path()),
            "response": self.response,
            "headers": self._headers(),
            "content": self._content(data),
            "data": data,
            "error": error,
            "offers_sign_in": error.get("error") in SIGN_IN_AGAIN,
            "wait": self.response.get("Retry-After"),
            "needs_token": bool(self.view.authentication_classes),
            "shown_token": self._shown_token(session),
            "may_register": may_register(session),
            "has_form": has_form,
            "form_template": self.form_template,
            "raw_form": self._raw_form() if has_form else None,
            "session": session,
            "seconds_left": session["exp"] - time.time() if session else 0,
            "lifetime": format_duration(claims.LIFETIME),
        }

    def origin(self) -> str:
        """Return the origin that commands on the page name."""
        return self.request.build_absolute_uri("/")[:-1]

    def _description(self) -> str:
        documented = handler(self.view, str(self.request.method))
        has_own = bool(documented and documented.__doc__)
        return split_docstring(documented if has_own else type(self.view))[0]

    def session(self, data: Any) -> tokens.AccessToken | None:
        """Return the token in the browser's cookie. Delete the cookie if the token is bad."""
        text = self.request.COOKIES.get(settings.ACCESS_TOKEN_COOKIE)
        if not text:
            return None
        try:
            return tokens.verify(text)
        except ExpiredTokenError:
            pass  # the cookie stays, so that the next page can say so too
        except TokenError:
            browser.forget_token(self.response)
        except (keys.NoSigningKeyError, *UNAVAILABLE):
            pass  # the page shows the error, or needs no database
        return None

    def show_form_for_method(self, view: Any, method: str, request: Any, obj: Any) -> bool:
        """Skip the permission checks: the response already shows their result."""
        return method in view.allowed_methods

    def _shown_token(self, session: tokens.AccessToken | None) -> str:
        if session and browser.may_show_token(self.request._request):
            return str(session.token)
        return "<token>"

    def _raw_form(self) -> Any:
        form = self.get_raw_data_form(None, self.view, "POST", self.request)
        if form is not None:
            form.initial["_content"] = self.raw_example
        return form

    def _content(self, data: Any) -> str:
        if data is None:
            return ""
        json = self.get_default_renderer(self.view)
        return str(self.get_content(json, data, "application/json", self.renderer_context))

    def _headers(self) -> list[tuple[str, str]]:
        """Return the headers that a program would get."""
        headers = {**self.response.headers, "Content-Type": "application/json"}
        return sorted((name, value) for name, value in headers.items() if name != "Vary")


class RootPage(Page):
    """Introduces the service: how to try it, and its endpoints."""

    template = "api/root.html"

    def template_context(self, data: Any) -> dict[str, Any]:
        others = [endpoint for endpoint in endpoints() if endpoint.name != "root"]
        more = {"endpoints": others, "is_local": settings.IS_LOCAL}
        return super().template_context(data) | more


class RegistrationPage(Page):
    """Shows the registration form, then the credentials, once."""

    template = "api/register.html"
    success_template = "api/registered.html"


class TokenRequestPage(Page):
    """Has a form for client credentials and a token."""

    form_template = "api/token_form.html"
    raw_example = '{"client_id": "", "client_secret": "", "token": ""}'


class DocumentPage(Page):
    """Shows what programs fetch, some of which accept pages without knowing: Java's, and probes."""

    needs_navigation = True


class HealthPage(DocumentPage):
    """Needs neither a database nor a Host header that we know, as the probes do."""

    template = "api/health.html"

    def origin(self) -> str:
        return str(settings.ORIGIN)

    def session(self, data: Any) -> None:
        return None


class DocsPage(Page):
    """Swagger UI."""

    template = "api/docs.html"


def is_page(request: Request | None) -> bool:
    """Tell whether the response is a page. It is false before content negotiation."""
    return isinstance(getattr(request, "accepted_renderer", None), Page)


def may_register(session: tokens.AccessToken | None) -> bool:
    """Tell whether pages offer registration: it is open, or the token allows it."""
    return settings.REGISTRATION == "open" or bool(session and REGISTER in session["scope"].split())


def local_path(url: str) -> str | None:
    """Return the path if it is on this site and safe in a Location header, else `None`."""
    if url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None):
        return iri_to_uri(url)
    return None


def format_duration(seconds: int) -> str:
    """Return a duration in words, such as `5 minutes`."""
    sizes = {"hour": 3600, "minute": 60, "second": 1}
    unit = next(unit for unit, size in sizes.items() if seconds % size == 0)
    count = seconds // sizes[unit]
    return f"{count} {unit}{'' if count == 1 else 's'}"
