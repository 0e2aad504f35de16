"""Serve with granian, and stop in two steps, so that no request is lost behind a load balancer."""

import os
import re
import signal
from argparse import ArgumentParser, ArgumentTypeError
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from granian import Granian
from granian.constants import Interfaces

from api import health

KILL_TIMEOUT = 10  # seconds that requests in flight get when it stops


class Command(BaseCommand):
    help = "Serves. On SIGTERM, /readyz answers 503 for DRAIN_SECONDS; then the server stops."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
        parser.add_argument("--port", type=_port, default=8000, help="the port to listen at")

    def handle(self, *args: Any, **options: Any) -> None:
        server = Granian(
            ":".join(settings.WSGI_APPLICATION.rsplit(".", 1)),
            address=options["host"],
            port=options["port"],
            interface=Interfaces.WSGI,
            websockets=False,
            workers=settings.WORKERS,
            blocking_threads=max(1, settings.THREADS),
            respawn_failed_workers=True,
            workers_kill_timeout=KILL_TIMEOUT,
            log_dictconfig=settings.LOGGING,
        )
        server.on_startup(drain_on_sigterm)
        server.serve()


def drain_on_sigterm() -> None:
    """Let the first SIGTERM start the draining. Its end, or a second SIGTERM, stops the server.

    Granian calls this after it has set its own handlers, and before it forks its workers.
    """
    main = os.getpid()
    stop: Any = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        if os.getpid() != main:
            return  # a worker that has just been forked, and has no handler of its own yet
        if health.is_draining() or not settings.DRAIN_SECONDS:
            stop(number, frame)
            return
        health.start_draining()
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(settings.DRAIN_SECONDS)

    signal.signal(signal.SIGTERM, drain)


def _port(text: str) -> int:
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    if not 0 < port < 2**16:
        raise ArgumentTypeError(f"{text!r} is not a port, which is from 1 to 65535")
    return port
