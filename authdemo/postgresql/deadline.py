"""A time limit for waiting for the database."""

import time
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")


class DeadlineExceededError(psycopg.OperationalError):
    """The answer took too long. It may still arrive, so the connection must be closed."""

    def __init__(self) -> None:
        super().__init__("The database did not answer in time.")


def limit(steps: PQGen[T], seconds: float) -> PQGen[T]:
    """Run a psycopg generator for at most `seconds`.

    psycopg resumes `steps` whenever the socket is ready, and at least ten times a second.
    Raises `DeadlineExceededError`.
    """
    give_up_at = time.monotonic() + seconds
    try:
        waits_for = next(steps)
        while True:
            ready = yield waits_for
            waits_for = steps.send(ready)
            if time.monotonic() > give_up_at:
                raise DeadlineExceededError
    except StopIteration as done:
        result: T = done.value
        return result
