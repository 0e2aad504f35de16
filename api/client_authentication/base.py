"""The interface of a client authentication method."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from api.credentials import Login
from api.parameters import Parameter


class MalformedProofError(Exception):
    """The proof is malformed, or there is more than one. The message tells the caller."""


class MissingProofError(Exception):
    """A form has no client authentication at all. The message tells the caller."""


class Proof(Protocol):
    """What a client presented: parsed, but not yet checked."""

    @property
    def client_ids(self) -> Sequence[str]:
        """The client id of each guess. A header with two readings counts as two guesses."""

    @property
    def is_slow(self) -> bool:
        """Whether the check computes a slow hash."""

    def verify(self, address: str, *, only_fast: bool = False) -> Login:
        """Return the login of the client at `address`. Raises `BadCredentialsError`.

        With `only_fast` it computes no slow hash. A refusal of a slow proof then means nothing.
        """


class Method(Protocol):
    """A method, whose proof is in the Authorization header or in the parameters.

    `reads` are the parameters; the OpenAPI document lists those of all methods.
    """

    reads: ClassVar[tuple[Parameter, ...]]

    @staticmethod
    def presents(authorization: str, parameters: Mapping[str, Any]) -> bool:
        """Tell whether a request uses this method, even if the proof is malformed."""

    @staticmethod
    def read(authorization: str, parameters: Mapping[str, Any]) -> Proof:
        """Return the proof. Raises `MalformedProofError`, `ParameterError`."""
