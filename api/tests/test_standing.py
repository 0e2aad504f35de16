"""What the two queries of `standing/` find."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from api.models import Client, RetiredSecret
from api.standing import look_up_for_login, look_up_for_token

MICROSECOND = timedelta(microseconds=1)
# SQLite compares times as texts, which have no fraction where it is zero.
MOMENTS = [
    pytest.param(datetime(2026, 5, 1, 12, 0, 0, fraction, UTC), id=f"{fraction} μs")
    for fraction in (0, 1, 500_000)
]


@pytest.mark.parametrize("now", MOMENTS)
def test_retired_secret_is_good_until_its_grace_ends(client_row: Client, now: datetime) -> None:
    with time_machine.travel(now, tick=False):
        for end, hashes in ((now, 1), (now - MICROSECOND, 1), (now + MICROSECOND, 2)):
            RetiredSecret.objects.update_or_create(
                client_id=client_row.pk,
                defaults={"hash": "old", "replaced_by": client_row.password, "expires_at": end},
            )
            expected = (client_row.password, "old")[:hashes]
            assert look_up_for_login(client_row.username).secret_hashes == expected
            client = look_up_for_token(client_row.username, jti="jti")
            assert client
            assert client.secret_hashes == expected
