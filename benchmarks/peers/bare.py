"""A WSGI callable and nothing else: what the server itself costs."""

from collections.abc import Callable, Iterable

BODY = b'{"message":"Welcome to the public area :)"}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def application(
    environ: dict[str, object], start_response: Callable[..., object]
) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return (BODY,)
