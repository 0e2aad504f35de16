"""Give up waiting for the database."""

import time
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")


class DeadlineExceededError(psycopg.OperationalError):
    """The answer took too long. It may still come, so the connection is of no more use."""

    def __init__(self) -> None:
        super().__init__("The database did not answer in time.")


def limit(steps: PQGen[T], seconds: float) -> PQGen[T]:
    """Run what psycopg does on a connection, for so many seconds.

    psycopg resumes `steps` whenever the socket is ready, and ten times a second anyway.
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
