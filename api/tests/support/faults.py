"""What all tests of faults need: a server with two workers, and what an outage may look like."""

from api.tests.support.server import GRANIAN, Server

NEED_DATABASE = ("login", "private")  # kinds of calls that a load makes
NEED_NONE = ("public", "livez", "jwks")
KINDS = NEED_DATABASE + NEED_NONE
RECOVERY = 2  # seconds
UNAVAILABLE = {
    "error": "temporarily_unavailable",
    "error_description": "The service is temporarily unavailable; try again shortly.",
}


def two_workers(server: Server) -> tuple[str, ...]:
    """Return how to serve with two workers, each of which is replaced when it ends."""
    two = ("--workers", "2", "--respawn-failed-workers")
    # A worker that is told to stop while it starts does not hear it.
    return (*GRANIAN, "--port", str(server.port), *two, "--workers-kill-timeout", "2")
