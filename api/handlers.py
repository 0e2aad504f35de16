"""Error responses outside DRF: for an unknown path or host, a missing CSRF token, an exception.

Django's URL configuration and settings name these functions.
"""

import sys

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template import loader
from django.urls import Resolver404, get_script_prefix, resolve

from api.endpoints import readable
from api.exceptions import (
    APIError,
    CSRFFailed,
    InvalidRequest,
    NotFound,
    ServerError,
    body,
)
from api.negotiation import is_from_a_program
from api.renderers import may_register
from api.translation import translate


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Refuse a request with the error that the exception stands for. Staff stay in the admin."""
    if isinstance(exception, Resolver404) and (path := _corrected_path(request.path_info)):
        return _plain(request, NotFound(f"There is nothing at this path; use {path} instead."))
    error = translate(exception) or InvalidRequest()
    # Only requests to the admin have a user.
    if hasattr(request, "user") and admin.site.has_permission(request):
        context = {**admin.site.each_context(request), "title": body(error)["error_description"]}
        return render(request, "admin/refused.html", context, status=error.status_code)
    return _plain(request, error)


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _plain(request, CSRFFailed())


def server_error(request: HttpRequest) -> HttpResponse:
    """Make the response to an exception outside DRF: 503 if the database is down, else 500."""
    error = sys.exc_info()[1]
    translated = translate(error) if isinstance(error, Exception) else None
    return _plain(request, translated or ServerError())


def _corrected_path(path: str) -> str | None:
    """Return the endpoint's path if only superfluous slashes are wrong, else `None`.

    It comes from `urls.py`: an error never repeats what a caller sent.
    """
    try:
        match = resolve("/" + "/".join(filter(None, path.split("/"))))
    except Resolver404:
        return None
    if not hasattr(match.func, "cls"):  # no view of the API
        return None
    return get_script_prefix() + readable(match.route)


def _plain(request: HttpRequest, error: APIError) -> HttpResponse:
    """Respond without DRF: with a page to a browser, with JSON to a program."""
    if "text/html" in request.headers.get("Accept", "") and not is_from_a_program(request):
        context = {"error": body(error), "may_register": may_register(None)}
        page = loader.render_to_string("api/error_page.html", context)
        return HttpResponse(page, status=error.status_code, headers=error.headers)
    return JsonResponse(body(error), status=error.status_code, headers=error.headers)
