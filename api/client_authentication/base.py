"""What every method of client authentication offers."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from api.credentials import Login


class MalformedProofError(Exception):
    """The request proves nothing, or tries to in several ways; the message says what is wrong."""


class Proof(Protocol):
    """What a client presented, read and not yet checked."""

    @property
    def client_ids(self) -> Sequence[str]:
        """The client id of each guess: a header that can be read in two ways is two."""

    @property
    def is_slow(self) -> bool:
        """Whether the check computes a slow hash."""

    def verify(self, address: str) -> Login:
        """Return whom it belongs to, calling from `address`. Raises `BadCredentialsError`."""


class Method(Protocol):
    """One method, which finds its proof in the Authorization header or in the parameters."""

    @staticmethod
    def presents(authorization: str, parameters: Mapping[str, Any]) -> bool:
        """Tell whether a request uses this method, well or badly."""

    @staticmethod
    def read(authorization: str, parameters: Mapping[str, Any]) -> Proof:
        """Return the proof. Raises `MalformedProofError`, `ParameterError`."""
