"""The WSGI application that every server runs: runserver, granian or another."""

import codecs
import io
import os
import sys
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "authdemo.settings")

try:
    _django = get_wsgi_application()
except ImproperlyConfigured as error:
    sys.exit(str(error))


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Give Django the request without two things that it has no answer for.

    It reads the whole request, the query too, with whatever codec a Content-Type names, rot13
    included, and it takes a body of unknown length for an empty one.
    """
    if not _is_utf8(environ.get("CONTENT_TYPE", "")):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    if environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH"):
        body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
    return _django(environ, start_response)


def _is_utf8(content_type: str) -> bool:
    """Tell whether a body of this type is text in UTF-8; no media type of ours is anything else."""
    try:
        charset = parse_header_parameters(content_type)[1].get("charset", "utf-8")
        return codecs.lookup(charset).name in {"utf-8", "ascii"}
    except (LookupError, ValueError):
        return False
