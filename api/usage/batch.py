"""What clients did since the last write. Its size is bounded, whatever strangers send."""

from typing import Any, NamedTuple

from api.models import OUTCOME_LENGTH

MAX_CLIENTS = 50_000  # entries about known clients; some 30 MB with as many uses
MAX_NAMES = 5_000  # entries about clients of whom only a name is known
MAX_NAME_LENGTH = 150
UNKNOWN = 0  # the primary key of no client

Counts = dict[tuple[Any, int, str], int]  # by client, hour since 1970, and outcome


class Use(NamedTuple):
    """A credential that a client has used: `secret`, `previous_secret`, `key:17` or the like.

    `secret_hash` tells which secret it was, because another one may have taken its place.
    """

    client_pk: int
    credential: str
    secret_hash: str


class Batch:
    """How often something happened, by hour, and when credentials were last used, to the minute.

    A client is named by its primary key, or else by what a caller sent as its id. What does not fit
    any more counts as an unknown client's. The methods return whether it fitted.
    """

    def __init__(self) -> None:
        self.counts: Counts = {}
        self.named_counts: Counts = {}
        self.uses: dict[Use, tuple[int, str]] = {}  # minute since 1970, and address

    def __bool__(self) -> bool:
        return bool(self.counts or self.named_counts or self.uses)

    def count(self, client: int | str, hour: int, outcome: str, times: int = 1) -> bool:
        if isinstance(client, str) and not _may_exist(client):
            client = UNKNOWN
        is_name = isinstance(client, str)
        counts, room = (self.named_counts, MAX_NAMES) if is_name else (self.counts, MAX_CLIENTS)
        key = client, hour, outcome[:OUTCOME_LENGTH]
        fits = key in counts or len(counts) < room
        if not fits:
            counts, key = self.counts, (UNKNOWN, *key[1:])
        counts[key] = counts.get(key, 0) + times
        return fits

    def use(self, use: Use, minute: int, address: str) -> bool:
        if use not in self.uses and len(self.uses) >= MAX_CLIENTS:
            return False
        self.uses[use] = minute, address
        return True

    def add(self, other: "Batch") -> bool:
        """Add a newer batch."""
        fits = [self.use(use, *when) for use, when in other.uses.items()]
        for counts in (other.counts, other.named_counts):
            fits += [self.count(*key, times) for key, times in counts.items()]
        return all(fits)


def _may_exist(client_id: str) -> bool:
    """Tell whether a client may have this id. No other is kept or searched for."""
    return len(client_id) <= MAX_NAME_LENGTH and client_id.isprintable()
