"""Sanitise what Django mishandles: charsets, cookies, schemes, chunked bodies, huge lengths.

Django reads a request, its query too, with any codec that the caller names, even rot13. Python
searches its files for a name that it does not know, and remembers the name for ever. A name can be
the `charset`, in parameters such as `x*=charset''text` (RFC 2231) of Content-Type and Accept, or in
the parts of a multipart body. So none of these get through.
"""

import io
from typing import Any

from django.conf import settings

MAX_ORIGIN = 4096  # characters; browsers send no longer ones
MAX_DIGITS = 18  # of a length; no body is longer


def sanitise(environ: dict[str, Any]) -> None:
    # JSON and forms are UTF-8, whatever the parameters say (RFC 8259 §11, RFC 6749 appendix B).
    # No form uploads a file, so multipart goes without its boundary too: Django answers 400.
    # Always set, or DRF would read the header Content_Type instead.
    environ["CONTENT_TYPE"] = environ.get("CONTENT_TYPE", "").partition(";")[0]
    if ";" in (accept := environ.get("HTTP_ACCEPT", "")):
        environ["HTTP_ACCEPT"] = ",".join(map(_media_range, accept.split(",")))
    if "\\" in (cookie := environ.get("HTTP_COOKIE", "")):
        # RFC 6265 allows none. Python before 3.11.10 takes time with their square: 100 kB, 22 s.
        environ["HTTP_COOKIE"] = cookie.replace("\\", "")
    if scheme := environ.get("HTTP_X_FORWARDED_PROTO"):
        environ["HTTP_X_FORWARDED_PROTO"] = scheme.lower()  # Django compares it as it is
    for name in ("HTTP_ORIGIN", "HTTP_REFERER"):
        if len(url := environ.get(name, "")) > MAX_ORIGIN:
            environ[name] = url[:MAX_ORIGIN]  # Python keeps the last 128 that Django has parsed
    _bound_body(environ)


def _media_range(text: str) -> str:
    """Return a media range of an Accept header, without parameters that could name a charset."""
    media_type, _, parameters = text.partition(";")
    return media_type if "*" in parameters else text


def _bound_body(environ: dict[str, Any]) -> None:
    """Let Django read 64 KiB and one byte, enough to see that a body is too large.

    It takes a body of unknown length for an empty one, and reads any length of an upload.
    """
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
    length = environ.get("CONTENT_LENGTH", "")
    has_body = environ.get("REQUEST_METHOD") not in {"GET", "HEAD", "OPTIONS"}
    if has_body and not length and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(most)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
    elif length.isdecimal() and (len(length) > MAX_DIGITS or int(length) > most):
        environ["CONTENT_LENGTH"] = str(most)
