"""What a test needs from the machine it runs on."""

import os

import pytest


def need(present: object, what: str) -> None:
    """Skip the test where something is absent, but fail it in the gate (`CI=true`)."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")
