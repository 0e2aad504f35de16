"""The WSGI application that every server runs: runserver, granian or another."""

import codecs
import io
import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.cache import close_caches
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, reset_queries
from django.http import HttpResponse
from django.utils.http import parse_header_parameters

MAX_CONTENT_TYPE = 256  # characters; Django's parser takes time with the square of them
MAX_DIGITS = 18  # of a length; more are no number that a body has
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authdemo.settings")

try:
    _django = get_wsgi_application()
except ImproperlyConfigured as error:
    sys.exit(str(error))

# What Django does around each request although it changes nothing here: there are no caches, no
# log of queries but with DEBUG, and what the next request sets or looks at when it begins.
request_finished.disconnect(close_caches)
request_finished.disconnect(close_old_connections)
request_finished.disconnect(reset_urlconf)
if not settings.DEBUG:
    request_started.disconnect(reset_queries)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Give Django the request without the things that it has no answer for.

    It reads the whole request, the query too, with whatever codec a Content-Type names, rot13
    included, and takes seconds over a long one. It takes a body of unknown length for an empty one,
    and reads any length of an upload. Of a body that is too large it gets enough to see that.
    """
    if not _is_utf8(environ.get("CONTENT_TYPE", "")):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
    length = environ.get("CONTENT_LENGTH", "")
    if not length and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(most)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
    elif length.isdecimal() and (len(length) > MAX_DIGITS or int(length) > most):
        environ["CONTENT_LENGTH"] = str(most)
    response = _django(environ, start_response)
    if not isinstance(response, HttpResponse):  # a file
        return response
    response.close()
    return [response.content]  # a server sends a list at once, and an iterator piece by piece


@lru_cache(maxsize=64)
def _is_utf8(content_type: str) -> bool:
    """Tell whether a body of this type is text in UTF-8; no media type of ours is anything else."""
    if len(content_type) > MAX_CONTENT_TYPE:
        return False
    try:
        charset = parse_header_parameters(content_type)[1].get("charset", "utf-8")
        return codecs.lookup(charset).name in {"utf-8", "ascii"}
    except (LookupError, ValueError):
        return False
